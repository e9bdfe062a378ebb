"""Quantised layers for code that looks at them: a network's own, where fx can't follow it."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from helpers.networks import normal
from widthwise.formats import Integer
from widthwise.network.graph import Graph
from widthwise.network.quantized import Quantized
from widthwise.network.scheme import Scheme
from widthwise.network.stand_in import StandIn

COARSE = Scheme(Integer(6, 3), Integer(4, 3))


class LooksAtItsLayers(nn.Module):
    """Takes its path by the classes of its layers and by what they hold; fx can't trace it."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 3)])

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            if isinstance(part, nn.Linear) and x.isfinite().all():
                x = part(x.to(part.weight.dtype)) / part.in_features
            else:
                x = part(x)
        return x


def test_a_network_that_looks_at_its_layers_takes_the_path_that_it_takes_in_float():
    network = LooksAtItsLayers().eval()
    graph = Graph(network)
    assert graph.capture == "running"
    x = normal(5)(20)
    first, _, last = network.parts
    with torch.no_grad():
        expected = Quantized(first, COARSE)(x) / 5
        expected = Quantized(last, COARSE)(torch.tanh(expected)) / 5
        assert torch.equal(graph.quantized({"parts_0": COARSE, "parts_2": COARSE}).model(x), expected)


def test_it_has_the_layers_class_and_attributes_and_none_beside():
    layer = StandIn(nn.Linear(4, 3), COARSE)
    assert isinstance(layer, nn.Linear)
    assert isinstance(layer, Quantized)
    assert not isinstance(layer, nn.Conv2d)
    assert (layer.in_features, layer.out_features, layer.weight.shape) == (4, 3, (3, 4))
    assert not hasattr(layer, "kernel_size")
    assert repr(layer) == repr(Quantized(layer.layer, COARSE))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_copy_is_one_too_with_its_own_weights(copied):
    layer, x = StandIn(nn.Linear(4, 3), COARSE), normal(4)(6)
    with torch.no_grad():
        was = layer(x)
        made = copied(layer)
        assert type(made) is StandIn
        assert torch.equal(made(x), was)
        made.layer.weight.zero_()
        assert torch.equal(made(x), made.layer.bias.expand(6, 3))
        assert torch.equal(layer(x), was)


def test_a_layer_of_a_traced_network_is_plain():
    graph = Graph(nn.Sequential(nn.Linear(4, 3))).quantized({"_0": COARSE})
    assert type(graph.modules["0"]) is Quantized
    assert not isinstance(graph.modules["0"], nn.Linear)
