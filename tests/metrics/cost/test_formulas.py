"""Cost metrics of many candidates at once against sums written out one by one, and the lab's own figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.metrics import COSTS, metrics_of
from widthwise.core.arrays import FloatArray
from widthwise.core.errors import UserError
from widthwise.metrics.catalogue import METRICS, Metric
from widthwise.metrics.cost.counts import Field, NodeBits, NodeCounts
from widthwise.metrics.cost.formulas import cost_metrics
from widthwise.network.counting import NodeCost

LINEAR = NodeCost("fc", macs=80, fan_in=16, outputs=5, other_flops=5, weight_elements=80, bias_elements=5)


def costs_of(names: Sequence[str], nodes: Sequence[NodeCost], bits: NodeBits) -> dict[str, FloatArray]:
    return cost_metrics(metrics_of(*names), NodeCounts.of(nodes), bits)


def unquantised(nodes: Sequence[NodeCost]) -> NodeBits:
    return NodeBits.unquantised(NodeCounts.of(nodes))


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[NodeCost], NodeBits]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count, candidates = draw(st.integers(1, 8)), draw(st.integers(1, 5))
    nodes = [
        NodeCost(f"n{i}", *(int(v) for v in rng.integers(0, 50, 8)), averaged=bool(rng.integers(2)))
        for i in range(count)
    ]
    each = [rng.choice([2.0, 4.0, 8.25, 32.0], (candidates, count)) for _ in range(3)]
    totals = [rng.integers(0, 5000, (candidates, count)).astype(float) for _ in range(2)]
    return nodes, NodeBits(*each, *totals, compare_to=16)


@given(networks())
def test_sums_equal_those_written_out_node_by_node(drawn: tuple[list[NodeCost], NodeBits]) -> None:
    nodes, bits = drawn
    found = cost_metrics(COSTS, NodeCounts.of(nodes), bits)
    for k in range(len(bits.weight)):
        widest = 0.0
        bops = size = averaged = elements = 0.0
        for n, node in enumerate(nodes):
            a, w = bits.data_in[k, n], bits.weight[k, n]
            bops += node.macs * (a * w + a + w + math.log2(max(node.fan_in, 1)))
            if node.macs:
                widest = max(widest, a + w + math.ceil(math.log2(max(node.fan_in, 1))))
            size += 32 * (node.other_parameters + node.buffer_elements)
            size += bits.weight_bits[k, n] if node.weight_elements else 0
            size += bits.bias_bits[k, n] if node.bias_elements else 0
            if node.averaged:
                averaged, elements = averaged + w * node.weight_elements, elements + node.weight_elements
        floats = sum(node.other_parameters for node in nodes)
        averaged, elements = averaged + 32 * floats, elements + floats
        average = averaged / elements if elements else 32
        assert found["bops"][k] == pytest.approx(bops)
        assert found["accumulator_bits"][k] == widest
        assert found["model_size"][k] == pytest.approx(size / 8)
        assert found["average_bitwidth"][k] == pytest.approx(average)
        works = sum(node.macs for node in nodes)
        flowing = sum(node.macs * bits.data_in[k, n] for n, node in enumerate(nodes))
        assert found["activation_bitwidth"][k] == pytest.approx(flowing / works if works else 32)
        assert found["memory_density"][k] == pytest.approx(16 / average)
        assert found["flops"][k] == sum(2 * n.macs + n.other_flops for n in nodes)
        assert found["macs"][k] == sum(n.macs for n in nodes)


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 5))
def test_networks_that_differ_in_counts_and_bits_cost_what_each_costs_alone(
    seed: int, k: int, n: int
) -> None:
    rng = np.random.default_rng(seed)
    averaged = [bool(drawn) for drawn in rng.integers(0, 2, n)]
    networks = [
        [NodeCost("n", *(int(v) for v in rng.integers(0, 50, 8)), averaged=flag) for flag in averaged]
        for _ in range(k)
    ]
    tables = [rng.choice([2.0, 4.0, 32.0], (k, n)) for _ in range(5)]
    each = [NodeCounts.of(nodes) for nodes in networks]

    def by_node(field: Field) -> FloatArray:
        return np.concatenate([counts.by_node(field) for counts in each])

    varied = NodeCounts(k, n, by_node, lambda field: by_node(field).sum(axis=1))
    found = cost_metrics(COSTS, varied, NodeBits(*tables))
    floats = cost_metrics(COSTS, varied, NodeBits.unquantised(varied))
    for row, counts in enumerate(each):
        own = NodeBits(*(table[row : row + 1] for table in tables))
        for name, value in cost_metrics(COSTS, counts, own).items():
            assert found[name][row] == pytest.approx(value[0]), name
        for name, value in cost_metrics(COSTS, counts, NodeBits.unquantised(counts)).items():
            assert floats[name][row] == pytest.approx(value[0]), name


@pytest.mark.parametrize(("width", "density"), [(8, 4.0), (4, 8.0), (2, 16.0)])
def test_bitwidth_and_density_are_those_of_the_lab_report(width: int, density: float) -> None:
    each = np.full((1, 1), float(width))
    found = costs_of(
        ["average_bitwidth", "memory_density"],
        [LINEAR],
        NodeBits(each, each, each, each * 80, each * 5),
    )
    assert (found["average_bitwidth"][0], found["memory_density"][0]) == (width, density)


def test_a_layer_left_in_float_counts_with_its_weights() -> None:
    nodes = [LINEAR, NodeCost("big", weight_elements=240)]
    bits = unquantised(nodes)
    bits.weight[0, 0] = 4
    assert costs_of(["average_bitwidth"], nodes, bits)["average_bitwidth"] == (80 * 4 + 240 * 32) / 320


def test_the_scale_vector_of_a_norm_is_stored_but_not_averaged() -> None:
    norm = NodeCost("bn", weight_elements=16, bias_elements=16, buffer_elements=32, averaged=False)
    nodes = [norm, LINEAR]
    bits = unquantised(nodes)
    bits.weight[0, 1], bits.weight_bits[0, 1] = 2, 160
    found = costs_of(["average_bitwidth", "model_size", "parameters"], nodes, bits)
    assert found["average_bitwidth"] == 2
    assert found["model_size"] == (160 + 5 * 32 + (16 + 16 + 32) * 32) / 8
    assert found["parameters"] == 80 + 5 + 32


def test_bops_follow_the_formula_of_uniq_for_a_convolution() -> None:
    n, m, k, positions = 8, 16, 3, 49
    conv = NodeCost("conv", macs=m * n * k * k * positions, fan_in=n * k * k, weight_elements=m * n * k * k)
    data, weight = np.array([[8.0], [32.0]]), np.array([[4.0], [32.0]])
    found = costs_of(["bops"], [conv], NodeBits(data, weight, weight, weight, weight))["bops"]
    expected = [
        m * n * k**2 * (a * w + a + w + math.log2(n * k**2)) * positions for a, w in ((8, 4), (32, 32))
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_second_call_works_again_and_stores_nothing() -> None:
    nodes = [LINEAR, replace(LINEAR, weight_elements=0, bias_elements=0)]
    found = costs_of(
        ["macs", "parameters", "model_size"],
        nodes,
        unquantised(nodes),
    )
    assert [found[name][0] for name in ("macs", "parameters", "model_size")] == [160, 85, 85 * 4]


def test_without_weights_the_average_is_that_of_floats() -> None:
    nodes = [NodeCost("relu", other_flops=5)]
    found = costs_of(
        ["average_bitwidth", "memory_density"],
        nodes,
        unquantised(nodes),
    )
    assert (found["average_bitwidth"][0], found["memory_density"][0]) == (32, 1)


NOWHERE = Metric("luts", "cost", "minimize", "LUT", "of an FPGA", source="no_such:luts")
LATENCY = Metric("latency", "measured", "minimize", "us", "of one sample", source="timing:latency")


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        (METRICS["accuracy"], "accuracy is a quality metric: it needs predictions"),
        (LATENCY, "latency can't be computed from the network alone"),
        (
            Metric("luts", "cost", "minimize", "LUT", "", source="no_such:luts"),
            "no_such:luts can't be loaded",
        ),
    ],
)
def test_what_can_not_be_computed_is_refused(metric: Metric, says: str) -> None:
    counts = NodeCounts.of([LINEAR])
    with pytest.raises(UserError, match=says):
        cost_metrics([metric], counts, NodeBits.unquantised(counts))


def test_bits_of_another_number_of_nodes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[K, N\] = \(1, 2\)"):
        costs_of(["bops"], [LINEAR, LINEAR], unquantised([LINEAR]))
