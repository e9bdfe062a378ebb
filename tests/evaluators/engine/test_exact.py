"""Sums that float32 does not hold are computed exactly, in the engine as in each candidate's own network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import widthwise as ww
from helpers.exact import DIGEST, digest, perceptron
from widthwise.evaluators.engine import Evaluator
from widthwise.formats import Integer
from widthwise.network.exactness import exceeds_float, narrowed

X = torch.randn(40, 16, generator=torch.Generator().manual_seed(0)) * 3


@dataclass
class Data:
    """The same samples in every part."""

    inputs: Tensor

    def train_dataloader(self) -> list[tuple[Tensor, Tensor]]:
        return [(self.inputs, torch.arange(len(self.inputs)) % 5)]

    val_dataloader = test_dataloader = train_dataloader


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 5)).eval()


def rules(draws: int, seed: int, *, floats: bool = False) -> dict[str, object]:
    """Choices for each tensor of a layer: widths from 2 to 16, points from -3 to 4 beyond the width."""
    rng = np.random.default_rng(seed)
    drawn: dict[str, object] = {"name": ["integer"]}
    for tensor in ("data_in", "weight", "bias"):
        widths = [16, *rng.integers(2, 17, draws - 1).tolist()]
        fractions = [int(rng.integers(8, 15)), *(int(rng.integers(-3, w + 5)) for w in widths[1:])]
        drawn |= {f"{tensor}_width": widths, f"{tensor}_frac_width": fractions}
    if floats:
        drawn["name"] = ["integer", "NA"]
    return drawn


def judged_by(
    model: nn.Module, x: Tensor, seed: int, *, floats: bool = False
) -> tuple[Evaluator, ww.QuantisationSpace]:
    """The engine on a space of random formats of all layers."""
    graph = ww.Graph(model, x)
    seeds = {
        layer.name: {"config": rules(2, seed + at, floats=floats)}
        for at, layer in enumerate(graph.layers)
        if layer.type in ("linear", "conv2d")
    }
    space = ww.QuantisationSpace(graph, by="name", seed=seeds)
    return Evaluator(graph, space, Data(x), metrics=["accuracy", DIGEST]), space


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_random_schemes_equal_fractions(seed: int) -> None:
    model = network()
    judged, space = judged_by(model, X, seed)
    candidates = space.sample(12, np.random.default_rng(seed))
    found = judged(candidates)[DIGEST]
    layers = [layer for layer in model if isinstance(layer, nn.Linear)]
    beyond = 0
    for candidate, digested in zip(candidates, found, strict=True):
        schemes = [judged.network(candidate).scheme(name) for name in ("_0", "_2")]
        formats = [
            {t: fmt for t in ("data_in", "weight", "bias") if isinstance(fmt := s[t], Integer)}
            for s in schemes
        ]
        exact = perceptron(X, model, formats)
        outputs = torch.tensor([[float(value) for value in row] for row in exact], dtype=torch.float64)
        assert digested == digest(narrowed(outputs))
        for layer, scheme in zip(layers, schemes, strict=True):
            weight, bias = scheme.weight.quantize(layer.weight), scheme.bias.quantize(layer.bias)
            beyond += exceeds_float(layer, scheme, weight, bias)
    assert beyond


class Functions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(5, 16)), nn.Parameter(torch.randn(5))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias)


def convolutional() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 5))


@pytest.mark.parametrize("floats", [False, True])
@pytest.mark.parametrize(
    ("make", "x"),
    [(network, X), (Functions, X), (convolutional, X.reshape(40, 1, 4, 4))],
    ids=["layers", "functions", "images"],
)
def test_the_engine_equals_each_candidates_own_network(make: object, x: Tensor, floats: bool) -> None:
    torch.manual_seed(0)
    judged, space = judged_by(make().eval(), x, 7, floats=floats)  # type: ignore[operator]
    candidates = space.sample(24, np.random.default_rng(1))
    found = judged(candidates)[DIGEST]
    with torch.no_grad():
        own = [digest(judged.network(candidate).model(x)) for candidate in candidates]
    assert found.tolist() == own
