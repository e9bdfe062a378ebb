"""Channels of which no bit reaches an output: which go, and that no output changes by a bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from helpers.trained_widths import Residual
from widthwise.formats.integer import Integer
from widthwise.formats.integer_each import IntegerEach
from widthwise.network.calling import takes_of
from widthwise.network.graph import Graph
from widthwise.network.passes.fold import fold_batchnorm_transform_pass
from widthwise.network.passes.metadata import propagate
from widthwise.network.pruning.pruned import pruned
from widthwise.network.realised import Input, Realised
from widthwise.network.scheme import Scheme


class Branches(nn.Module):
    """A difference of two paths, read by two layers; one path is added to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(5, 6), nn.Linear(5, 6)
        self.c, self.last = nn.Linear(6, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = (self.a(x).relu() - self.b(x)).relu()
        y = self.c(x).relu()
        return self.last(y + y)


class Steps(nn.Module):
    """Linear layers on each step of a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x).relu())


def networks() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    """By name, with the shape of a sample."""
    torch.manual_seed(0)
    deep = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 3))
    norms = nn.Sequential(
        nn.Conv2d(2, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2, padding=1),
        nn.Conv2d(6, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip
    grouped = nn.Sequential(
        nn.Conv2d(2, 6, 1), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1, groups=3), nn.ReLU(),
        nn.Conv2d(6, 12, 2, groups=6), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, 3),
    )  # fmt: skip
    signals = nn.Sequential(nn.Conv1d(2, 5, 3), nn.ReLU(), nn.Conv1d(5, 4, 3, bias=False), nn.Flatten())
    return {
        "deep": (deep, (5,)),
        "norms": (norms, (2, 6, 6)),
        "grouped": (grouped, (2, 4, 4)),
        "signals": (signals, (2, 7)),
        "residual": (Residual(), (1, 6, 6)),
        "branches": (Branches(), (5,)),
        "steps": (Steps(), (3, 4)),
    }


def parts(tensor: Tensor, generator: np.random.Generator, *, empty: float) -> IntegerEach:
    """Widths of a weight or bias, of which whole outputs, whole inputs and single ones have none."""
    widths = generator.integers(2, 6, tensor.shape)
    for axis in range(min(tensor.ndim, 2)):
        gone = generator.random(tensor.shape[axis]) < empty
        widths[(slice(None),) * axis + (gone,)] = 0
    widths[generator.random(tensor.shape) < empty / 2] = 0
    fractions = generator.integers(2, 5, tensor.shape)
    return IntegerEach(tuple(widths.ravel().tolist()), tuple(fractions.ravel().tolist()), tuple(tensor.shape))


def shapes(graph: Graph, x: Tensor) -> dict[str, tuple[int, ...]]:
    """Of what each node gives."""
    return {name: meta.outputs[0].shape for name, meta in propagate(graph, x).items() if meta.outputs}


def realised(network: nn.Module, shape: tuple[int, ...], seed: int, empty: float) -> Realised:
    """A network with widths by part that are drawn."""
    generator = np.random.default_rng(seed)
    x = torch.rand(4, *shape)
    graph, _ = fold_batchnorm_transform_pass(Graph(network.eval(), (x,)), {})
    schemes, channels = {}, shapes(graph, x)
    for layer in graph.layers:
        if layer.type in ("linear", "conv1d", "conv2d"):
            module = layer.module
            count = module.in_features if layer.type == "linear" else module.in_channels
            of_data = (count,) if layer.type == "linear" else (count, *[1] * (len(shape) - 1))
            widths = np.where(generator.random(count) < empty / 2, 0, generator.integers(3, 7, count))
            data = IntegerEach(tuple(widths.tolist()), 3, of_data)
            bias = None if module.bias is None else parts(module.bias, generator, empty=empty)
            schemes[layer.name] = Scheme(data, parts(module.weight, generator, empty=empty), bias)
        elif layer.type in ("add", "sub"):
            count = channels[layer.node.all_input_nodes[0].name][1]
            widths = np.where(generator.random(count) < empty / 2, 0, generator.integers(3, 7, count))
            schemes[layer.name] = Scheme(
                IntegerEach(tuple(widths.tolist()), 3, (count, *[1] * (len(shape) - 1)))
            )
    known = (Input(takes_of(network).names[0], shape, "float32"),)
    weights = {name: value.clone() for name, value in graph.model.state_dict().items()}
    return Realised((0,), {}, schemes, weights, inputs=known, network=network, folded=bool(graph.folded))


@pytest.mark.slow
@pytest.mark.parametrize("name", networks())
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**31), empty=st.sampled_from([0.2, 0.5, 0.8]))
def test_all_outputs_stay_as_they_are_to_the_bit(name, seed, empty):
    network, shape = networks()[name]
    whole = realised(network, shape, seed, empty)
    found = pruned(whole)
    x = 4 * torch.randn(64, *shape, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        wanted, given_now = (made.graph().model(x) for made in (whole, found.realised))
    assert torch.equal(given_now, wanted)
    assert found.realised.schemes.keys() == whole.schemes.keys()
    for before, after in found.channels.values():
        assert 0 < after < before


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_just_those_go_that_do_nothing_or_never_change(seed):
    network, shape = nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 3)), (5,)
    whole = realised(network, shape, seed, 0.4)
    x = 8 * torch.randn(256, 5, generator=torch.Generator().manual_seed(seed))
    graph = whole.graph()
    first, relu, last = (graph.model.get_submodule(name) for name in "012")
    needed = []
    with torch.no_grad():
        hidden = relu(first(x))
        wanted = last(hidden)
        for unit in range(12):
            other = hidden.clone()
            other[:, unit] = 3.9 * torch.rand(256)
            never = bool((hidden[:, unit] == hidden[0, unit]).all())
            needed.append(not never and not torch.equal(last(other), wanted))
    stays = pruned(whole).channels.get("0", (12, 12))[1]
    # a unit that changes for none of these samples may for others; then it has to stay
    assert stays >= max(sum(needed), 1)
    row = whole.schemes["_0"].weight.table[0].any(1)
    column = whole.schemes["_2"].weight.table[0].any(0) & (whole.schemes["_2"].data_in.table[0] > 0)
    assert stays <= max(int((row & column).sum()), 1)


def fixed(value: list[list[float]]) -> tuple[Tensor, IntegerEach]:
    """Numbers, with a format of just those that are not zero."""
    tensor = torch.tensor(value)
    widths = np.where(np.array(value) == 0, 0, 5)
    return tensor, IntegerEach(tuple(widths.ravel().tolist()), 2, tuple(tensor.shape))


def by_hand(bias: list[float], *, wide: int = 5) -> Realised:
    """Four units: used; never changing; not read; read with no bits."""
    network = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    weight, of_weight = fixed([[1, -1], [0, 0], [1, 0.5], [0.5, 1]])
    given_bias, of_bias = fixed([bias])
    last, of_last = fixed([[1, 0.5, 0, 1]])
    state = {"0.weight": weight, "0.bias": given_bias[0], "2.weight": last, "2.bias": torch.tensor([0.25])}
    data = IntegerEach((6, 6), 2, (2,))
    read = IntegerEach((6, 6, 6, 0), 2, (4,), False)
    of_bias = replace(of_bias, shape=(4,))
    schemes = {
        "_0": Scheme(data, of_weight, of_bias),
        "_2": Scheme(read, of_last, IntegerEach(wide, 2, (1,))),
    }
    return Realised((0,), {}, schemes, state, inputs=(Input("input", (2,), "float32"),), network=network)


def test_a_unit_that_never_changes_goes_into_the_bias_of_what_reads_it():
    found = pruned(by_hand([0.5, 1.5, 1, 1]))
    assert dict(found.channels) == {"0": (4, 1)}
    assert found.folded == 1
    (note,) = found.notes
    assert note.startswith("without 3 channels that add no bit to any output: 0 4 to 1; 1 of them never")
    made = found.realised.graph().model
    assert made.get_submodule("2").layer.bias.item() == 0.25 + 0.5 * 1.5
    assert found.realised.schemes["_2"].bias.table[0].tolist() == [2]  # 1, in whole numbers
    x = torch.tensor([[0.5, -1.0]])
    assert made(x).item() == (0.5 + 1 + 0.5) + 0.75 + 0.25


def test_one_that_is_below_zero_behind_its_relu_adds_nothing():
    found = pruned(by_hand([0.5, -1.5, 1, 1]))
    assert dict(found.channels) == {"0": (4, 1)}
    assert found.folded == 0
    assert found.realised.weights["2.bias"].item() == 0.25


def test_networks_without_parts_that_have_no_bits_stay_as_they_are():
    whole = by_hand([0.5, 1.5, 1, 1])
    plain = Scheme(*[Integer(8, 4)] * 3)
    assert pruned(replace(whole, schemes=dict.fromkeys(whole.schemes, plain))).channels == {}
    some = {**whole.schemes, "_0": replace(whole.schemes["_0"], data_in=None)}  # read in float
    assert pruned(replace(whole, schemes=some)).channels == {}
    sigmoid = nn.Sequential(nn.Linear(2, 4), nn.Sigmoid(), nn.Linear(4, 1))
    other = replace(whole, network=sigmoid)
    assert pruned(other).realised is other


def test_what_is_pruned_says_of_itself_what_it_is_and_is_read_back():
    whole = by_hand([0.5, 1.5, 1, 1])
    found = pruned(whole).realised
    assert found.sizes == {"0": 1}
    again = Realised.from_json(found.as_json(), found.weights, where="here")
    x = torch.randn(50, 2)
    assert torch.equal(again.graph(whole.network).model(x), whole.graph().model(x))
