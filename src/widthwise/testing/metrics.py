"""What holds for every metric."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from widthwise.metrics.catalogue import Metric
from widthwise.metrics.cost.counts import NodeBits, NodeCounts
from widthwise.metrics.cost.formulas import cost_metrics, cost_of_graph
from widthwise.network.graph import Graph
from widthwise.network.passes.metadata import propagate
from widthwise.testing.holds import holds


def check_metric(metric: Metric) -> None:
    """A metric says what it is; a cost is computed for any network, any bits and any number of candidates.

    One that only a network's formats tell (`OfGraph`) is for some networks alone: its own tests try those.
    """
    holds(metric.name.strip() == metric.name != "", "a metric has a name")
    holds(metric.direction in ("maximize", "minimize"), f"{metric.name}: has a direction")
    holds(metric.description, f"{metric.name}: says in a line what it is")
    holds(metric.low < metric.high, f"{metric.name}: low is below high")
    if metric.kind == "cost" and cost_of_graph(metric) is None:
        _check_cost(metric)


def _check_cost(metric: Metric) -> None:
    network = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    meta = propagate(Graph(network), (torch.zeros(1, 6),))
    counts = NodeCounts.of([found.cost for found in meta.values() if found.cost is not None])
    few, many = (_bits(counts, bits) for bits in ((8.0,), (2.0, 8.0, 32.0)))
    one, three = (cost_metrics([metric], counts, bits)[metric.name] for bits in (few, many))
    holds(one.shape == (1,), f"{metric.name}: one number for one candidate")
    holds(three.shape == (3,), f"{metric.name}: a number for each candidate")
    holds(np.isfinite(three).all(), f"{metric.name}: finite numbers")
    holds(three[1] == one[0], f"{metric.name}: a candidate costs the same alone and among others")
    inside = (three >= metric.low).all() and (three <= metric.high).all()
    holds(inside, f"{metric.name}: from its low to its high")


def _bits(counts: NodeCounts, each: Sequence[float]) -> NodeBits:
    """All numbers of all nodes with so many bits, for a candidate each."""
    floats = NodeBits.unquantised(counts, len(each))
    share = np.array(each)[:, None] / 32
    return NodeBits(
        data_in=floats.data_in * share,
        weight=floats.weight * share,
        bias=floats.bias * share,
        weight_bits=floats.weight_bits * share,
        bias_bits=floats.bias_bits * share,
    )
