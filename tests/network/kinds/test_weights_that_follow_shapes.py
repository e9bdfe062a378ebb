"""Weights cast, cut or repeated as the shape and type of the data say: weights all the same, stored once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import widthwise as ww
from helpers.emulation import (
    ALL,
    OTHERS,
    WIDTHS,
    assert_rows_equal,
    config,
    fixed,
    loss_of,
    made_twice,
    rows,
    sequences,
    words,
)
from widthwise.formats.integer import Integer
from widthwise.network.scheme import Scheme

NO_BIAS = ("data_in", "weight")
LAYER = {"linear": ALL}
TIED = {"embedding": ("weight",)} | LAYER
Cast = Callable[[Tensor, Tensor], Tensor]

CASTS: dict[str, Cast] = {
    "to type": lambda w, x: w.to(x.dtype),
    "to type by name": lambda w, x: w.to(dtype=x.dtype),
    "to device and type": lambda w, x: w.to(x.device, x.dtype),
    "to another": lambda w, x: w.to(x),
    "type_as": lambda w, x: w.type_as(x),
    "float": lambda w, x: w.float(),
    "data": lambda w, x: w.data,
    "dtype of what is computed": lambda w, x: w.to((x * 2).dtype),
}


def asking(x: Tensor, asks: bool) -> Tensor:
    """asks: for a value, so that torch.fx can't trace it."""
    return -x if asks and x.abs().max() > 1e9 else x


def of_cast(cast: Cast, asks: bool) -> type[nn.Module]:
    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.out = nn.Parameter(torch.randn(6, 8) / 2), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = asking(x, asks)
            return self.out((x @ cast(self.w, x)).relu())

    return Product


def tied(cast: Cast, asks: bool) -> type[nn.Module]:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.out = nn.Embedding(10, 6), nn.Linear(10, 3)

        def forward(self, ids: Tensor) -> Tensor:
            h = asking(self.words(ids).mean(1), asks)
            return self.out(F.linear(h, cast(self.words.weight, h)))

    return Tied


@pytest.mark.parametrize("asks", [False, True], ids=["fx", "running"])
@pytest.mark.parametrize("name", CASTS)
def test_a_weight_that_is_cast_is_a_weight(name: str, asks: bool) -> None:
    assert_rows_equal(of_cast(CASTS[name], asks), rows(), {"matmul": NO_BIAS} | LAYER, weights=2)


@pytest.mark.parametrize("asks", [False, True], ids=["fx", "running"])
@pytest.mark.parametrize("name", CASTS)
def test_a_table_that_is_cast_for_the_head_is_stored_once(name: str, asks: bool) -> None:
    if asks:
        example = words().inputs[0][:4]
        graph = ww.Graph(tied(CASTS[name], asks)(), example)
        assert graph.capture == "running"
        seed = {kind: {"config": config("weight")} for kind in ("embedding", "linear")}
        assert len(ww.QuantisationSpace(graph, by="type", seed=seed).decisions) == 2
        return
    assert_rows_equal(tied(CASTS[name], asks), words(), TIED, weights=2)


SHAPED: dict[str, tuple[Cast, tuple[int, ...]]] = {
    "expanded": (lambda w, x: w.unsqueeze(0).expand(x.shape[0], -1, -1), (6, 8)),
    "repeated": (lambda w, x: w.unsqueeze(0).repeat(x.size(0), 1, 1), (6, 8)),
    "viewed": (lambda w, x: w.view(1, x.shape[-1], -1).expand(x.size(0), -1, -1), (48,)),
    "cut": (lambda w, x: w[: x.size(2)].expand(x.size(0), -1, -1), (9, 8)),
}


def of_shape(name: str, asks: bool) -> type[nn.Module]:
    cast, shape = SHAPED[name]

    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.out = nn.Parameter(torch.randn(shape) / 2), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = asking(x, asks)
            return self.out(torch.bmm(x, cast(self.w, x)).relu().mean(1))

    return Product


@pytest.mark.parametrize("asks", [False, True], ids=["fx", "running"])
@pytest.mark.parametrize("name", SHAPED)
def test_a_weight_that_follows_the_shape_of_the_data_is_a_weight_stored_once(name: str, asks: bool) -> None:
    """In batches of other sizes, too: the last has 8 samples, the example 4."""
    data, (model, other) = sequences(), made_twice(of_shape(name, asks))
    graph = ww.Graph(model, data.inputs[0][:4])
    assert graph.capture == ("running" if asks else "fx")
    seed = {"bmm": {"config": config(*NO_BIAS)}}
    space = ww.QuantisationSpace(graph, by="type", seed=seed)
    evaluator = ww.Evaluator(graph, space, data, metrics=["loss", "average_bitwidth", "model_size"])
    found = evaluator(space.at(range(space.size)))
    assert not found.failures
    for number, width in enumerate(WIDTHS):
        expected = loss_of(_Rounded(other, SHAPED[name][0], width), data)
        assert found["loss"][number] == pytest.approx(expected, rel=1e-4)
        assert loss_of(evaluator.network([number]).model, data) == pytest.approx(expected, rel=1e-4)
        stored = other.w.numel()
        assert found["average_bitwidth"][number] == pytest.approx((stored * width + 24 * 32) / (stored + 24))
        assert found["model_size"][number] == (stored * width + 32 * (24 + 3)) / 8


class _Rounded(nn.Module):
    def __init__(self, model: nn.Module, cast: Cast, width: int) -> None:
        super().__init__()
        self.model, self.cast, self.width = model, cast, width

    def forward(self, x: Tensor) -> Tensor:
        weight = self.cast(fixed(self.model.w, self.width), x)
        return self.model.out(torch.bmm(fixed(x, OTHERS), weight).relu().mean(1))


class Positions(nn.Module):
    """As many of nine learned positions as there are steps."""

    def __init__(self) -> None:
        super().__init__()
        self.positions, self.out = nn.Parameter(torch.randn(1, 9, 6)), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out((x + self.positions[:, : x.size(1)]).mean(1))


def test_positions_that_are_cut_are_what_is_added() -> None:
    data, (model, other) = sequences(), made_twice(Positions)
    graph = ww.Graph(model, data.inputs[0][:4])
    assert [layer.tensors for layer in graph.layers if layer.type == "add"] == [("data_in", "bias")]
    fmt = Integer(3, 1)
    with torch.no_grad():
        x = data.inputs[0][:, :3]  # of another length than it was captured on
        found = graph.quantized({"add": Scheme(data_in=fmt)}).model(x)
        expected = other.out((fmt.quantize(x) + other.positions[:, :3]).mean(1))
        torch.testing.assert_close(found, expected)
        found = graph.quantized({"add": Scheme(bias=fmt)}).model(x)
        torch.testing.assert_close(found, other.out((x + fmt.quantize(other.positions)[:, :3]).mean(1)))


def test_networks_that_cut_by_the_shape_of_the_data_are_evaluated() -> None:
    assert_rows_equal(Positions, sequences(), LAYER, weights=1, average=False)


def test_where_no_shape_is_known_such_a_weight_stays_float() -> None:
    """No input can be guessed for it; it is not taken for data."""
    graph = ww.Graph(of_shape("expanded", asks=False)())
    assert graph.capture == "fx"
    assert [layer.tensors for layer in graph.layers if layer.type == "bmm"] == [("data_in",)]
    fmt, x = Integer(3, 1), sequences().inputs[0][:4]
    with torch.no_grad():
        found = graph.quantized({"bmm": Scheme(data_in=fmt)}).model(x)
        expected = graph.model(fmt.quantize(x))
    torch.testing.assert_close(found, expected)


class Waves(nn.Module):
    """Positions that are a buffer, as sinusoidal ones; a mask cut to the length; both are no weights."""

    def __init__(self) -> None:
        super().__init__()
        self.mix, self.out = nn.Linear(6, 6), nn.Linear(6, 3)
        self.register_buffer("waves", torch.linspace(-1, 1, 54).sin().reshape(1, 9, 6))
        self.register_buffer("mask", torch.ones(9, 9).tril())

    def forward(self, x: Tensor) -> Tensor:
        steps = x.size(1)
        x = self.mix(x) + self.waves[:, :steps]
        scores = (x @ x.transpose(1, 2)).masked_fill(self.mask[:steps, :steps] == 0, float("-inf"))
        return self.out((scores.softmax(-1) @ x).mean(1))


def test_buffers_that_are_cut_by_the_shape_of_the_data_can_be_traced() -> None:
    assert ww.Graph(Waves(), sequences().inputs[0][:4]).capture == "fx"
    assert_rows_equal(Waves, sequences(), LAYER | {"matmul": ("data_in",)}, weights=2)
