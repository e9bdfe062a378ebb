"""Layers of one's own are one layer each, whichever way the network is captured."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import widthwise as ww
from helpers.emulation import left_as_it_was, loss_of, rows
from widthwise.formats.integer import Integer
from widthwise.network import layers
from widthwise.network.scheme import Scheme

X = torch.linspace(-1, 1, 24).reshape(4, 6)
FMT = Integer(4, 2)


class Gain(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain, self.my_bias = nn.Parameter(torch.rand(width)), nn.Parameter(torch.rand(width))

    def forward(self, x: Tensor, *, scale: Tensor | None = None) -> Tensor:
        y = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)
        return (y if scale is None else y * scale) * self.gain + self.my_bias


class Block(nn.Module):
    """Of one's own, with another within."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.weight = Gain(8), nn.Parameter(torch.randn(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x) @ self.weight


class Asks(nn.Module):
    def __init__(self, middle: nn.Module, asks: bool = True) -> None:
        super().__init__()
        self.a, self.middle, self.b, self.asks = nn.Linear(6, 8), middle, nn.Linear(8, 3), asks

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        if self.asks and h.abs().max() > 1e9:
            h = -h
        return self.b(self.middle(h).relu())


class Named(Asks):
    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        return self.b(self.middle(h, scale=h.abs() if h.abs().max() < 1e9 else h).relu())


@pytest.fixture(autouse=True)
def as_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "_REGISTERED", {})
    ww.register_layer(Gain, "layer_norm")


def told(graph: ww.Graph) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(layer.name, layer.type, layer.tensors) for layer in graph.layers if layer.tensors]


def test_it_is_the_same_layer_recorded_and_traced() -> None:
    recorded, traced = (ww.Graph(Asks(Gain(8), asks).eval(), X) for asks in (True, False))
    assert (recorded.capture, traced.capture) == ("running", "fx")
    middle = ("middle", "layer_norm", ("data_in", "weight", "bias"))
    linear = ("data_in", "weight", "bias")
    last = [("b", "linear", linear)]
    assert [one for one in told(recorded) if one[1] != "relu"] == [("a", "linear", linear), middle, *last]
    assert [one for one in told(traced) if one[1] != "relu"] == [("a", "linear", linear), middle, *last]


@pytest.mark.parametrize("asks", [True, False], ids=["running", "fx"])
@pytest.mark.parametrize("data_in", [None, FMT])
def test_formats_apply_to_what_it_is_called_with_and_its_parameters(
    asks: bool, data_in: Integer | None
) -> None:
    model = Asks(Gain(8), asks).eval()
    scheme = Scheme(data_in=data_in, weight=FMT, bias=FMT)
    with torch.no_grad(), left_as_it_was(model):
        found = ww.Graph(model, X).quantized({"middle": scheme}).model(X)
    with torch.no_grad():
        h, gain = model.a(X), model.middle.gain.copy_(FMT.quantize(model.middle.gain))
        model.middle.my_bias.copy_(FMT.quantize(model.middle.my_bias))
        expected = model.b(model.middle(h if data_in is None else FMT.quantize(h)).relu())
    assert gain.unique().numel() < 8
    torch.testing.assert_close(found, expected)


def test_inputs_by_name_are_data_too() -> None:
    model = Named(Gain(8)).eval()
    with torch.no_grad():
        found = ww.Graph(model, X).quantized({"middle": Scheme(data_in=FMT)}).model(X)
        h = model.a(X)
        expected = model.b(model.middle(FMT.quantize(h), scale=FMT.quantize(h.abs())).relu())
    torch.testing.assert_close(found, expected)


def test_one_within_another_is_part_of_it() -> None:
    ww.register_layer(Block, "linear")
    graph = ww.Graph(Asks(Block()).eval(), X)
    assert [one for one in told(graph) if one[0].startswith("middle")] == [
        ("middle", "linear", ("data_in", "weight", "bias"))
    ]
    with torch.no_grad():
        graph.quantized({"middle": Scheme(weight=FMT)}).model(X)


def test_a_search_evaluates_it_as_the_module_itself() -> None:
    seed = {
        "layer_norm": {"config": {"name": ["integer"], "weight_width": [2, 8], "weight_frac_width": ["NA"]}}
    }
    torch.manual_seed(0)
    model, data = Asks(Gain(8)), rows()
    graph = ww.Graph(model, X)
    space = ww.QuantisationSpace(graph, by="type", seed=seed)
    evaluator = ww.Evaluator(graph, space, data, metrics=["loss", "model_size", "macs"])
    found = evaluator(space.at(range(2)))
    assert not found.failures
    traced = ww.Graph(Asks(model.middle, asks=False), X)
    other = ww.Evaluator(
        traced,
        ww.QuantisationSpace(traced, by="type", seed=seed),
        data,
        metrics=["model_size", "macs"],
    )(space.at(range(2)))
    for metric in other:
        assert found[metric].tolist() == other[metric].tolist()
    for number, candidate in enumerate(space.at(range(2))):
        assert found["loss"][number] == pytest.approx(
            loss_of(evaluator.network(candidate).model, data), rel=1e-5
        )
    assert "forward" not in vars(model.middle)


def test_gradients_reach_its_parameters() -> None:
    model = Asks(Gain(8))
    made = ww.Graph(model, X).quantized({"middle": Scheme(weight=FMT)})
    made.model(X).sum().backward()
    gradients = {name: p.grad for name, p in made.network.named_parameters()}
    assert gradients["middle.gain"] is not None
    assert gradients["middle.gain"].abs().sum() > 0
