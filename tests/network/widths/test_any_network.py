"""Networks that nobody here wrote: removing a unit equals silencing it, and every size runs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from helpers.networks.sequences import (
    Gated,
    OfNames,
    OwnAttention,
    OwnWeights,
    Positions,
    RootMeanSquare,
    SeveralInputs,
    SharedKeys,
    Stacked,
    Stepped,
)
from widthwise.core.errors import UserError
from widthwise.network.graph import Graph
from widthwise.network.stored import attribute
from widthwise.network.widths.changes import Change
from widthwise.network.widths.example import example_input
from widthwise.network.widths.finding import find_groups
from widthwise.network.widths.rebuild import rebuilt
from widthwise.network.widths.resize import resize, resized
from widthwise.training.supernet import Supernet, leading

SEQUENCE = (torch.randn(4, 5, 16, generator=torch.Generator().manual_seed(0)),)
PAIR = (SEQUENCE[0][:, 0], torch.randn(4, 4, generator=torch.Generator().manual_seed(1)))

# what reads a unit, written down by hand: tensor, axis, places
Reads = Sequence[tuple[str, int, Sequence[int]]]
RECURRENT: Reads = [
    *((f"rnn.weight_hh_l{layer}", 1, [3]) for layer in (0, 1)),
    ("rnn.weight_ih_l1", 1, [3]),
    ("last.weight", 1, [3]),
]
BOTH_WAYS: Reads = [
    *((f"rnn.weight_hh_l{layer}{way}", 1, [3]) for layer in (0, 1) for way in ("", "_reverse")),
    *((f"rnn.weight_ih_l1{way}", 1, [3, 11]) for way in ("", "_reverse")),
    ("last.weight", 1, [3, 11]),
]
CELL: Reads = [("cell.weight_hh", 1, [3]), ("last.weight", 1, [3])]
UNITS: dict[str, tuple[Callable[[], nn.Module], str, int, Reads]] = {
    "hidden units of a GRU": (Stacked, "rnn", 3, RECURRENT),
    "hidden units of an LSTM": (lambda: Stacked(nn.LSTM), "rnn", 3, RECURRENT),
    "hidden units of an RNN": (lambda: Stacked(nn.RNN), "rnn", 3, RECURRENT),
    "hidden units both ways": (lambda: Stacked(nn.LSTM, bidirectional=True), "rnn", 3, BOTH_WAYS),
    "inputs of a GRU": (
        Stacked,
        "first",
        5,
        [("rnn.weight_ih_l0", 1, [5])],
    ),
    "units of an LSTM cell": (Stepped, "cell", 3, CELL),
    "units of a GRU cell": (lambda: Stepped(nn.GRUCell), "cell", 3, CELL),
    "heads": (OwnAttention, "qkv", 2, [("proj.weight", 1, range(8, 12))]),
    "heads as products": (lambda: OwnAttention(fused=False), "qkv", 1, [("proj.weight", 1, range(4, 8))]),
    "heads of shared keys": (SharedKeys, "q", 1, [("proj.weight", 1, range(8, 16))]),
    "gates": (Gated, "both", 4, [("last.weight", 1, [4])]),
    "weights of its own": (OwnWeights, "bias", 6, [("second", 1, [6])]),
    "channels beside positions": (Positions, "first", 2, [("last.weight", 1, range(2, 40, 8))]),
}


@pytest.mark.parametrize(("make", "group", "unit", "reads"), UNITS.values(), ids=UNITS.keys())
def test_removing_a_unit_equals_reading_nothing_of_it(make, group: str, unit: int, reads: Reads):
    torch.manual_seed(0)
    model = make().eval()
    groups = find_groups(model, SEQUENCE)
    kept = [place for place in range(groups[group].size) if place != unit]
    removed = rebuilt(model, groups, {groups[group].name: Change(torch.tensor(kept).numpy())})
    silenced = copy.deepcopy(model)
    with torch.no_grad():
        for name, axis, places in reads:
            attribute(silenced, name).index_fill_(axis, torch.tensor(list(places)), 0)
    assert not torch.allclose(silenced(*SEQUENCE), model(*SEQUENCE), atol=1e-4)
    assert torch.allclose(removed(*SEQUENCE), silenced(*SEQUENCE), atol=1e-5)


GROUPS = {
    "gru": (Stacked, SEQUENCE, {"first": 12, "rnn": 8}),
    "both ways": (lambda: Stacked(nn.LSTM, bidirectional=True), SEQUENCE, {"first": 12, "rnn": 8}),
    "cell": (Stepped, SEQUENCE, {"cell": 8}),
    "attention": (OwnAttention, SEQUENCE, {"embed": 16, "qkv": 4}),
    "shared keys": (SharedKeys, SEQUENCE, {"q": 2, "proj": 6}),
    "gated": (Gated, SEQUENCE, {"both": 10}),
    "own weights": (OwnWeights, SEQUENCE, {"bias": 8}),
    "root mean square": (RootMeanSquare, SEQUENCE, {"first": 8}),
    "positions": (Positions, SEQUENCE, {"first": 8}),
    "several inputs": (SeveralInputs, PAIR, {"left": 8}),
    "bag": (
        lambda: nn.Sequential(nn.EmbeddingBag(10, 6), nn.Linear(6, 2)),
        (torch.randint(0, 10, (4, 3), generator=torch.Generator().manual_seed(0)),),
        {"0": 6},
    ),
    "names": (OfNames, ({"x": SEQUENCE[0][:, 0]},), {"first": 8}),
}


def leaves(result: Any) -> list[Tensor]:
    found: list[Tensor] = torch.utils._pytree.tree_leaves(result)
    return found


@pytest.mark.parametrize(("make", "x", "sizes"), GROUPS.values(), ids=GROUPS.keys())
def test_every_group_has_its_size_and_can_be_resized(make, x: tuple[Any, ...], sizes: dict[str, int]):
    torch.manual_seed(0)
    model = make().eval()
    groups = find_groups(model, x)
    assert {group.name: group.size for group in groups.groups} == sizes
    before = [tensor.clone() for tensor in leaves(model(*x))]
    for name, size in sizes.items():
        for weights in ("inherit", "scratch"):
            smaller = resized(model, groups, {name: size // 2}, weights=weights).eval()
            assert [t.shape for t in leaves(smaller(*x))] == [t.shape for t in before]
            again = find_groups(smaller, x)
            assert again[name].size == size // 2
        grown = resized(model, groups, {name: 2 * size}).eval()
        for tensor, expected in zip(leaves(grown(*x)), before, strict=True):
            assert torch.allclose(tensor, expected, atol=1e-5)


def test_a_norm_of_the_networks_own_allows_multiples_only():
    groups = find_groups(RootMeanSquare(), SEQUENCE)
    with pytest.raises(UserError, match="the nearest size that keeps the function is 16"):
        resized(RootMeanSquare(), groups, {"first": 12})


class Sums(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(16, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.last(x * x.sum(-1, keepdim=True))


class Softmax(Sums):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x).softmax(-1))


class Picks(Sums):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x)[..., torch.tensor([7, 6, 5, 4, 3, 2, 1, 0])])


class Rolls(Sums):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.fft.rfft(self.first(x)).real.repeat(1, 1, 2)[..., :8])


class Weighed(Sums):
    def __init__(self) -> None:
        super().__init__()
        self.second = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.first(x)))


FIXED = {
    "a weight computed from others": (Weighed, "a tensor reads them that doesn't change with them"),
    "a sum": (Sums, "they are added up by the network's code"),
    "a softmax": (Softmax, "a softmax is taken over them"),
    "an index": (Picks, "the code picks them by their numbers"),
    "an operation nobody knows": (Rolls, "which can't be followed"),
}


@pytest.mark.parametrize(("make", "reason"), FIXED.values(), ids=FIXED.keys())
def test_what_can_not_be_resized_says_why(make, reason: str):
    groups = find_groups(make(), SEQUENCE)
    assert not groups.groups
    assert reason in {known.name: known.reason for known in groups.fixed}["first"]


SLICES = {
    "heads": (OwnAttention, {"qkv": 2, "embed": 8}),
    "shared keys": (SharedKeys, {"q": 1}),
    "a GRU": (Stacked, {"rnn": 4, "first": 6}),
    "an LSTM": (lambda: Stacked(nn.LSTM), {"rnn": 4}),
    "a cell": (Stepped, {"cell": 4}),
    "weights of its own": (OwnWeights, {"bias": 4}),
}


@pytest.mark.parametrize(("make", "sizes"), SLICES.values(), ids=SLICES.keys())
def test_a_slice_of_a_supernet_is_the_smaller_network(make, sizes: dict[str, int]):
    model = make().eval()
    groups = find_groups(model, SEQUENCE)
    small = rebuilt(model, groups, {name: leading(groups, name, size) for name, size in sizes.items()})
    assert torch.allclose(Supernet(model, groups)(*SEQUENCE, sizes), small(*SEQUENCE), atol=1e-6)


class SameNumbers(OwnAttention):
    """As many heads as a head is wide, and a number of the same value that is no number of heads."""

    def __init__(self) -> None:
        super().__init__()
        self.head_dim, self.factor = 4, 4

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.factor / self.head_dim**0.5


def test_only_numbers_of_heads_follow_heads():
    torch.manual_seed(0)
    model = SameNumbers().eval()
    groups = find_groups(model, SEQUENCE)
    grown = resized(model, groups, {"qkv": 8})
    assert (grown.num_heads, grown.head_dim, grown.factor) == (8, 4, 4)
    assert torch.allclose(grown(*SEQUENCE), model(*SEQUENCE), atol=1e-5)


def test_groups_are_those_of_the_users_own_modules():
    model = OwnAttention()
    small = resize(Graph(model), {"qkv": 2, "embed": 12}, example=SEQUENCE)
    assert isinstance(small.network, OwnAttention)
    assert (small.network.num_heads, model.num_heads) == (2, 4)
    assert small.network.qkv.weight.shape == (24, 12)
    assert torch.allclose(small.model(*SEQUENCE), small.network(*SEQUENCE), atol=1e-6)


def test_what_a_quantised_network_computes_with_is_kept():
    from widthwise.formats import Integer
    from widthwise.network.scheme import Scheme

    scheme = Scheme(weight=Integer(4))
    graph = Graph(OwnAttention()).quantized({"proj": scheme})
    small = resize(graph, {"qkv": 2}, example=SEQUENCE)
    assert small.scheme("proj") == scheme


def test_named_inputs_are_given_in_the_order_of_forward():
    x, y = PAIR
    model = SeveralInputs()
    first, second = example_input(model, {"y": y, "x": x})
    assert torch.equal(first, x[:2])
    assert torch.equal(second, y[:2])
    with pytest.raises(UserError, match=r"SeveralInputs\.forward takes other inputs"):
        example_input(model, {"x": x, "z": y})
