"""Networks as JSON: the same bits again, what can't be written is said, and nothing else can be named."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

import widthwise as ww
from widthwise.network.written import NotWrittenError, built, written


class Zoo(nn.Module):
    """Calls of many kinds: methods, functions, slices, buffers, lone parameters, defaults, collections."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=(1, 1), groups=1, bias=False)
        self.norm = nn.BatchNorm2d(8, eps=1e-3, momentum=None)
        self.act = nn.LeakyReLU(0.2, inplace=True)
        self.gru = nn.GRU(8, 4, num_layers=2, batch_first=True, bidirectional=True)
        self.scale = nn.Parameter(torch.rand(8, 1, 1))
        self.register_buffer("shift", torch.rand(8, 1, 1))
        self.head = nn.Sequential(nn.Linear(8, 6), nn.Hardtanh(-0.5, 0.5), nn.Identity(), nn.Softmax(dim=-1))

    def forward(self, x: Tensor) -> dict[str, Any]:
        """Two outputs by name, one of them in a tuple."""
        x = self.act(self.norm(self.conv(x)) * self.scale + self.shift)
        x = nn.functional.max_pool2d(x, 2, stride=2) + x[:, :, ::2, 1::2]
        first, second = torch.chunk(x, 2, dim=1)
        x = torch.cat([first, -second], dim=1).clamp(min=-1.0)
        x = x.flatten(2).permute(0, 2, 1)
        found, _ = self.gru(x)
        return {"head": self.head(found[:, -1]), "rest": (x.mean((1, 2)), x.to(torch.float64).sum())}


def again(network: nn.Module) -> nn.Module:
    """What is read of what is written."""
    model = ww.Graph(network.eval()).model
    assert isinstance(model, fx.GraphModule)
    return built(json.loads(json.dumps(written(model))), network.state_dict(), where="network.json")


@pytest.mark.parametrize("name", ["digits-cnn", "jsc-s", "resnet8", "diabetes-mlp", "poems-cnn"])
def test_built_in_network_comes_back_with_its_layers_and_bits(name: str):
    network = ww.load_model(name)
    graph, made = ww.Graph(network), again(network)
    inputs = {
        "poems-cnn": torch.randint(0, 20, (3, 32)),
        "digits-cnn": torch.rand(3, 1, 8, 8),
        "resnet8": torch.rand(3, 3, 32, 32),
        "diabetes-mlp": torch.rand(3, 10),
    }
    x = inputs.get(name, torch.rand(3, 16))
    assert torch.equal(network.eval()(x), made(x))
    assert [layer.name for layer in ww.Graph(made).layers] == [layer.name for layer in graph.layers]


def test_calls_of_many_kinds_come_back():
    network, x = Zoo(), torch.rand(2, 3, 8, 8)
    wanted, found = network.eval()(x), again(network)(x)
    assert torch.equal(wanted["head"], found["head"])
    assert all(torch.equal(*pair) for pair in zip(wanted["rest"], found["rest"], strict=True))


class Own(nn.Linear):
    """A layer of one's own."""

    def forward(self, x: Tensor) -> Tensor:
        """Twice as much."""
        return 2 * super().forward(x)


def test_layer_of_ones_own_is_said():
    module = fx.symbolic_trace(nn.Sequential(nn.ReLU()))
    module.add_module("0", Own(4, 4))
    with pytest.raises(NotWrittenError, match=r"0 is a Own, which is none of torch\.nn's"):
        written(module)


def _stored() -> dict[str, Any]:
    model = ww.Graph(nn.Sequential(nn.Linear(4, 2), nn.ReLU())).model
    assert isinstance(model, fx.GraphModule)
    return json.loads(json.dumps(written(model)))  # type: ignore[no-any-return]


def _call(**changed: Any) -> Callable[[dict[str, Any]], None]:
    def change(stored: dict[str, Any]) -> None:
        stored["calls"][1] |= changed

    return change


def _layer(**changed: Any) -> Callable[[dict[str, Any]], None]:
    def change(stored: dict[str, Any]) -> None:
        next(iter(stored["layers"].values())).update(changed)

    return change


HOSTILE = {
    "a function that reads files": _call(op="call_function", target="torch.load"),
    "a function of the system": _call(op="call_function", target="os.system"),
    "a method that is none of a tensor's": _call(op="call_method", target="__reduce__"),
    "a method that runs what it is given": _call(op="call_method", target="apply_"),
    "an attribute": _call(op="call_function", target="getattr", args=[{"node": "input_1"}, "__class__"]),
    "a layer that is none": _layer(kind="Parameter"),
    "another module": _layer(kind="modules"),
    "a huge layer": _layer(arguments={"in_features": 10**9, "out_features": 10**9, "bias": True}),
    "a constant that is code": _call(args=[{"dtype": "load"}]),
    "another kind of call": _call(op="root"),
    "a call of what comes later": _call(args=[{"node": "later"}]),
    "another version": lambda stored: stored.update(version=2),
    "no calls": lambda stored: stored.pop("calls"),
    "calls that are none": lambda stored: stored.update(calls=[7]),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_read_names_nothing_but_torchs_layers_and_functions(change: Callable[[Any], object]):
    stored = copy.deepcopy(_stored())
    built(stored, nn.Sequential(nn.Linear(4, 2)).state_dict(), where="network.json")
    change(stored)
    with pytest.raises(ww.UserError, match=r"^network\.json: is "):
        built(stored, nn.Sequential(nn.Linear(4, 2)).state_dict(), where="network.json")
