"""Candidates of one structure are exported as graphs of the same nodes, by ONNX Runtime's own account."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.integers import NETWORKS, inputs
from widthwise.export.latency.structures import FormatStructures
from widthwise.export.onnx import NETWORK, OnnxExporter
from widthwise.export.onnx_runtime import kernels
from widthwise.formats import Integer
from widthwise.network.graph import Graph
from widthwise.network.realised import Realised
from widthwise.spaces.slots import Slot, schemes

WEIGHTED = ("linear", "conv1d", "conv2d")
CHOICES = {
    "data_in": (Integer(8, 4), Integer(8, 4, False), Integer(5, 3), Integer(5, 2, False)),
    "weight": (Integer(4, 3), Integer(6, 4)),
    "bias": (Integer(8, 4), Integer(12, 11)),
}


def slots_of(graph: Graph) -> tuple[Slot, ...]:
    return tuple(
        Slot(layer.name, tensor, CHOICES[tensor])
        for layer in graph.layers
        if layer.type in WEIGHTED
        for tensor in layer.tensors
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["perceptron", "convolutional", "signals", "sequences"])
def test_candidates_of_a_structure_run_the_same_kernels_and_those_below_no_more(
    name: str, tmp_path: Path
) -> None:
    make, shape = NETWORKS[name]
    torch.manual_seed(1)
    network = make().eval()
    graph = Graph(network, inputs(shape))
    slots = slots_of(graph)
    rng = np.random.default_rng(0)
    drawn = np.stack([rng.integers(len(slot.formats), size=24) for slot in slots], axis=1)
    ran = []
    for number, row in enumerate(drawn):
        found = Realised((), {}, schemes(slots, row)).complete(network)
        made = found.graph()
        if OnnxExporter("qdq").refusals(found, made):
            ran.append(None)
            continue
        folder = tmp_path / str(number)
        folder.mkdir()
        OnnxExporter("qdq").write(found, made, folder, (inputs(shape, 2),))
        ran.append(kernels((folder / NETWORK).read_bytes()))
    structures = FormatStructures(graph, slots)(drawn)
    assert sum(each is not None for each in ran) > 5
    compared = 0
    for one, first in enumerate(ran):
        for other, second in enumerate(ran):
            if first is None or second is None or one == other:
                continue
            if (structures[one] == structures[other]).all():
                assert first == second
            if (structures[one] <= structures[other]).all():
                assert first.total() <= second.total()
                compared += 1
    assert compared


def test_readers_of_one_tensor_in_several_formats_are_another_structure() -> None:
    make, shape = NETWORKS["residual"]
    network = make().eval()
    graph = Graph(network, inputs(shape))
    slots = (Slot("b", "data_in", CHOICES["data_in"][:2]), Slot("sub", "data_in", CHOICES["data_in"][:2]))
    names = {layer.name for layer in graph.layers}
    assert {"b", "sub"} <= names, names
    found = FormatStructures(graph, slots)(np.array([[0, 0], [0, 1], [1, 1]]))
    assert found.shape[1] >= 2


def test_without_slots_there_is_one_structure() -> None:
    make, _ = NETWORKS["perceptron"]
    assert FormatStructures(Graph(make().eval()), ())(np.zeros((3, 0), dtype=np.int64)).tolist() == [[0]] * 3
