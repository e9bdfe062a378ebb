"""Calls as the engine makes them: those in place write to new memory, convolutions take the faster layout."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from widthwise.evaluators.engine.calls import out_of_place
from widthwise.evaluators.engine.kernels import Folded
from widthwise.evaluators.engine.parameters import MANY_WEIGHTS, Layers, Parameter
from widthwise.formats import Integer


class Doubling(nn.Module):
    """Works in place and says so, but is none of torch's."""

    inplace = True

    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(2)


IN_PLACE = [
    nn.ReLU(True),
    nn.Hardswish(True),
    nn.SiLU(True),
    nn.LeakyReLU(0.2, True),
    torch.relu_,
    Doubling(),
]


@pytest.mark.parametrize("call", IN_PLACE, ids=lambda call: getattr(call, "__name__", type(call).__name__))
def test_a_call_in_place_leaves_what_it_reads(call: Callable[[Tensor], Tensor]):
    x = torch.linspace(-4, 4, 50)
    before = x.clone()
    found = out_of_place(call)(x)
    assert torch.equal(x, before)
    assert torch.equal(found, call(x))
    assert getattr(call, "inplace", True), "the network's own layer is as it was"


@pytest.mark.parametrize("side", [1, 2, 16])
def test_convolutions_are_the_same_in_both_layouts(side: int):
    torch.manual_seed(0)
    layer = nn.Conv2d(32, 48, 3, padding=1)
    fmt = Integer(8, 6)
    x = Integer(8, 4).quantize(torch.randn(4, 32, side, side)).to(memory_format=torch.channels_last)
    assert (layer.weight.numel() > MANY_WEIGHTS * x.numel()) == (side < 3)
    layers = Layers(layer, {"weight": (0, Parameter(layer.weight.detach(), (fmt,)))})
    with torch.no_grad():
        found = Folded(layers).one([x], [0])
        layer.weight.copy_(fmt.quantize(layer.weight))
        layer.double()
        assert torch.allclose(found.double(), layer(x.double()), atol=1e-6)
