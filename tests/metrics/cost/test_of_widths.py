"""Costs of widths: the polynomials equal counting each network by itself."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.metrics import COSTS, metrics_of
from helpers.networks import build, inputs, tagged
from widthwise.core.errors import UserError
from widthwise.metrics.cost.counts import FIELDS, NodeBits, NodeCounts
from widthwise.metrics.cost.formulas import cost_metrics
from widthwise.metrics.cost.of_widths import WidthCosts
from widthwise.network.graph import Graph
from widthwise.network.widths.resize import resize
from widthwise.spaces.width import WidthSpace


@pytest.mark.parametrize("name", tagged("groups"))
def test_costs_equal_those_of_each_network(name: str):
    graph, x = Graph(build(name)), inputs(name)
    multipliers = [1, 2, 3] if name == "transposed" else [0.5, 1, 2, 3]  # two blocks of three channels
    space = WidthSpace(graph, multipliers=multipliers, example=x)
    varying = [choice.group for choice in space.choices]
    costs = WidthCosts(graph, space.groups, (x,), varying=varying, largest=space.largest)
    assert costs.exact >= set(FIELDS) - {"fan_in"}
    candidates = space.sample(3, np.random.default_rng(1))
    found = costs(COSTS, space.size_table(candidates))
    for row, candidate in enumerate(candidates):
        nodes = costs.nodes(space.size_table(candidates)[row])
        counts = NodeCounts.of(nodes)
        counted = cost_metrics(COSTS, counts, NodeBits.unquantised(counts))
        for metric, values in counted.items():
            assert found[metric][row] == pytest.approx(values[0], rel=1e-12), metric
        network = resize(graph, space.sizes(candidate), weights="scratch", groups=space.groups, example=(x,))
        assert found["parameters"][row] == sum(p.numel() for p in network.model.parameters())


def test_where_polynomials_do_not_hold_every_network_is_counted():
    graph, x = Graph(build("mlp")), inputs("mlp")
    space = WidthSpace(graph, multipliers=[0.5, 1], example=x)
    varying = [choice.group for choice in space.choices]
    costs = WidthCosts(graph, space.groups, (x,), varying=varying, largest=space.largest)
    table = space.size_table(next(space.enumerate()))
    expected = costs(COSTS, table)
    costs.exact = frozenset()
    costs.coefficients = costs.coefficients * 0
    for metric, values in costs(COSTS, table).items():
        assert np.array_equal(values, expected[metric])


def test_other_metrics_are_refused():
    graph, x = Graph(build("three linear")), inputs("three linear")
    space = WidthSpace(graph, by="all", multipliers=[1, 2], example=x)
    varying = [choice.group for choice in space.choices]
    costs = WidthCosts(graph, space.groups, (x,), varying=varying, largest=space.largest)
    with pytest.raises(UserError, match="accuracy is a quality metric"):
        costs(metrics_of("accuracy"), space.size_table(next(space.enumerate())))
