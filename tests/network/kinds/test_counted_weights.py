"""Figures over all weights: what stays float counts 32 bits, and what is not counted is said."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import widthwise as ww
from helpers.emulation import config, images, made_twice, rows, sequences, words
from helpers.judged import Batches
from helpers.networks import functional as networks
from helpers.networks.reparametrised import around, around_image

BITS = 2  # of what has a format


class Mixed(nn.Module):
    """60 numbers in a table, an LSTM of 4 * 4 * (6 + 4) = 160, 12 in the head."""

    def __init__(self) -> None:
        super().__init__()
        self.emb, self.rnn = nn.Embedding(10, 6), nn.LSTM(6, 4, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.rnn(self.emb(ids))[0][:, -1])


class Positions(nn.Module):
    """A learned position for each of five words: 30 numbers of the network's own."""

    def __init__(self) -> None:
        super().__init__()
        self.emb, self.positions = nn.Embedding(10, 6), nn.Parameter(torch.randn(5, 6))
        self.head = nn.Linear(6, 3)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head((self.emb(ids) + self.positions).mean(1))


# make, data, elements of the weights of linear layers, elements of all other weights
CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[], Batches], int, int]] = {
    "two linear layers": (lambda: around(nn.Linear(6, 8)), rows, 48 + 24, 0),
    "embedding": (lambda: nn.Sequential(nn.Embedding(10, 6), nn.Flatten(), nn.Linear(30, 3)), words, 90, 60),
    "convolution": (lambda: around_image(nn.Conv2d(3, 4, 3, padding=1)), images, 12, 108),
    "lstm": (lambda: networks.Recurrent(nn.LSTM), sequences, 12, 160),
    "gru": (lambda: networks.Recurrent(nn.GRU), sequences, 12, 120),
    "lstm of both directions": (lambda: networks.Recurrent(nn.LSTM, bidirectional=True), sequences, 24, 320),
    "cell": (lambda: networks.Stepwise(nn.GRUCell), sequences, 12, 120),
    "embedding and lstm": (Mixed, words, 12, 60 + 160),
    "product": (networks.ByMatmulOperator, rows, 24, 48),
    "addmm": (networks.ByAddmm, rows, 24, 48),
    "kernel": (networks.ByConvolution, images, 12, 108),
    "table": (networks.ByEmbedding, words, 18, 60),
    "stored transposed": (lambda: around(networks.Conv1D(8, 6)), rows, 24, 48),
    "layer of its own": (lambda: around(networks.OwnLinear(6, 8)), rows, 24, 48),
    "bilinear": (networks.OfBilinear, rows, 24, 72),
}


@pytest.mark.parametrize("name", CASES)
def test_the_average_is_over_all_weights(name: str):
    make, data, formatted, others = CASES[name]
    graph = ww.Graph(made_twice(make)[0])
    seed = {"linear": {"config": config("weight", widths=[BITS])}}
    space = ww.QuantisationSpace(graph, by="type", seed=seed)
    metrics = ["average_bitwidth", "memory_density"]
    found = ww.Evaluator(graph, space, data(), metrics=metrics)(space.at([0]))
    average = (formatted * BITS + others * 32) / (formatted + others)
    assert found["average_bitwidth"][0] == pytest.approx(average)
    assert found["memory_density"][0] == pytest.approx(32 / average)


@pytest.mark.parametrize("name", CASES)
def test_a_float_network_has_32_bits_and_four_bytes_for_each_number(name: str):
    make, data, _, _ = CASES[name]
    model, other = made_twice(make)
    found = ww.evaluate(
        model, data(), metrics=["average_bitwidth", "memory_density", "model_size", "parameters"]
    )
    total = sum(parameter.numel() for parameter in other.parameters())
    assert found == {
        "average_bitwidth": 32,
        "memory_density": 1,
        "model_size": 4 * total,
        "parameters": total,
    }


@pytest.mark.parametrize("name", CASES)
def test_sizes_are_those_of_what_is_stored(name: str):
    make, data, formatted, others = CASES[name]
    model, other = made_twice(make)
    graph = ww.Graph(model)
    seed = {"linear": {"config": config("weight", widths=[BITS])}}
    space = ww.QuantisationSpace(graph, by="type", seed=seed)
    found = ww.Evaluator(graph, space, data(), metrics=["model_size"])(space.at([0]))
    total = sum(parameter.numel() for parameter in other.parameters())
    assert found["model_size"][0] == (formatted * BITS + 32 * (total - formatted)) / 8
    assert total >= formatted + others


def test_norms_scales_are_weights_in_the_size_and_not_in_the_average():
    """A scale and a shift of 8 each: as the lab's mean, the average is over matrices, kernels and tables."""
    model = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3))
    graph = ww.Graph(model)
    seed = {"linear": {"config": config("weight", widths=[BITS])}}
    space = ww.QuantisationSpace(graph, by="type", seed=seed)
    found = ww.Evaluator(graph, space, rows(), metrics=["average_bitwidth", "model_size"])(space.at([0]))
    assert found["average_bitwidth"][0] in (BITS, pytest.approx((72 * BITS + 8 * 32) / 80))
    assert found["model_size"][0] == 72 * BITS / 8 + 4 * (11 + 16)


def test_numbers_of_the_networks_own_count_32_bits_in_the_size():
    """A table of positions is added, no factor of a product: it may be left out of the average alone."""
    graph = ww.Graph(made_twice(Positions)[0])
    seed = {"linear": {"config": config("weight", widths=[BITS])}}
    space = ww.QuantisationSpace(graph, by="type", seed=seed)
    found = ww.Evaluator(graph, space, words(), metrics=["average_bitwidth", "model_size"])(space.at([0]))
    averages = [(18 * BITS + others * 32) / (18 + others) for others in (60, 90)]
    assert found["average_bitwidth"][0] in [pytest.approx(average) for average in averages]
    assert found["model_size"][0] == (18 * BITS + 32 * (60 + 30 + 3)) / 8


# make, data, products that are summed for one sample
MACS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Batches], int]] = {
    "linear": (lambda: around(nn.Linear(6, 8)), rows, 72),
    "function": (networks.ByLinearWithBias, rows, 72),
    "product": (networks.ByMatmulOperator, rows, 72),
    "product from the left": (networks.ByMatmulFromTheLeft, rows, 72),
    "mm": (networks.ByMm, rows, 72),
    "addmm": (networks.ByAddmm, rows, 72),
    "einsum": (networks.ByEinsum, rows, 72),
    "bmm": (networks.ByBmm, rows, 2 * 3 * 4 + 24),
    "kernel": (networks.ByConvolution, images, 36 * 108 + 12),
    "stored transposed": (lambda: around(networks.Conv1D(8, 6)), rows, 72),
    "lstm": (lambda: networks.Recurrent(nn.LSTM), sequences, 5 * 160 + 12),
    "cell": (lambda: networks.Stepwise(nn.GRUCell), sequences, 5 * 120 + 12),
    "attention": (networks.Attentive, sequences, 5 * 6 * 24 + 2 * 5 * 5 * 6 + 18),
    "products of attention": (networks.DotProduct, sequences, 5 * 6 * 18 + 2 * 5 * 5 * 6 + 18),
}


def _normalised() -> nn.Module:
    made = networks.Recurrent(nn.LSTM)
    nn.utils.parametrizations.weight_norm(made.rnn, "weight_hh_l0")
    return made


def _pruned() -> nn.Module:
    made = networks.Recurrent(nn.GRU)
    nn.utils.prune.l1_unstructured(made.rnn, "weight_ih_l0", amount=0.5)
    return made


@pytest.mark.parametrize(("make", "gates"), [(_normalised, 4), (_pruned, 3)])
def test_recurrent_layers_count_the_weights_that_they_use(make: Callable[[], nn.Module], gates: int):
    weights, biases = gates * 4 * (6 + 4), 2 * gates * 4
    found = ww.evaluate(make(), sequences(), metrics=["macs", "parameters", "model_size"])
    total = weights + biases + 12 + 3
    assert found == {"macs": 5 * weights + 12, "parameters": total, "model_size": 4 * total}


@pytest.mark.parametrize("asks", [False, True], ids=["fx", "running"])
def test_indices_that_a_network_keeps_are_no_floats(asks: bool):
    """As BERT's positions: whole numbers are left out of the size, float buffers are in it."""

    class Placed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.positions, self.out = nn.Embedding(9, 6), nn.Linear(6, 3)
            self.register_buffer("ids", torch.arange(9))
            self.register_buffer("gain", torch.ones(6))

        def forward(self, x: Tensor) -> Tensor:
            x = -x if asks and x.max() > 1e9 else x
            return self.out((x * self.gain + self.positions(self.ids[: x.size(1)])).mean(1))

    graph = ww.Graph(Placed(), sequences().inputs[0][:4])
    assert graph.capture == ("running" if asks else "fx")
    found = ww.evaluate(graph, sequences(), metrics=["model_size", "parameters"])
    assert found == {"model_size": 4 * (54 + 18 + 3 + 6), "parameters": 54 + 18 + 3}


BY_NAME: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "linear, bias first": lambda x, w, b: F.linear(x, bias=b, weight=w),
    "linear, weight first": lambda x, w, b: F.linear(weight=w, input=x, bias=b),
    "addmm": lambda x, w, b: torch.addmm(mat2=w.t(), mat1=x, input=b),
    "matmul": lambda x, w, b: torch.matmul(other=w.t(), input=x) + b,
    "conv1d": lambda x, w, b: F.conv1d(x[..., None], bias=b, weight=w[..., None]).squeeze(-1),
}


@pytest.mark.parametrize("asks", [False, True], ids=["fx", "running"])
@pytest.mark.parametrize("name", BY_NAME)
def test_products_count_whatever_the_order_of_their_arguments(name: str, asks: bool):
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.b = nn.Parameter(torch.randn(8, 6)), nn.Parameter(torch.randn(8))
            self.out = nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(BY_NAME[name](-x if asks and x.max() > 1e9 else x, self.w, self.b))

    assert ww.evaluate(Named(), rows(), metrics=["macs"]) == {"macs": 48 + 24}


@pytest.mark.parametrize("name", MACS)
def test_products_are_counted_or_what_is_not_counted_is_said(name: str):
    make, data, expected = MACS[name]
    model, _ = made_twice(make)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = ww.evaluate(model, data(), metrics=["macs"])["macs"]
    assert found == expected or any("macs" in str(warning.message) for warning in told)


def test_arithmetic_that_is_not_known_is_said():
    """A tensor's Fourier transform has no count."""

    class Spectral(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 8), nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(torch.fft.rfft(F.relu(self.a(x))).abs())

    with pytest.warns(UserWarning, match="rfft"):
        found = ww.evaluate(Spectral(), rows(), metrics=["macs"])["macs"]
    assert found == 48 + 15
