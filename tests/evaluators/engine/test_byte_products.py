"""Products of bytes give the numbers of float products, bit for bit; where they would not, floats do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

import widthwise as ww
from helpers.judged import Batches
from widthwise.evaluators.engine import Evaluator
from widthwise.evaluators.engine.byte_layers import ByteLayer
from widthwise.evaluators.engine.byte_products import (
    LEAST_PRODUCTS,
    Codes,
    Window,
    are_fast,
    grid_of,
    may_be_bytes,
    product,
    rounded,
    suits,
)
from widthwise.evaluators.engine.rerun import Rerun
from widthwise.formats import Integer
from widthwise.metrics.quality.outcomes import count_outcomes

pytestmark = pytest.mark.skipif(not are_fast(), reason="this processor has no instructions for bytes")

FRACTIONS = st.integers(-3, 12) | st.sampled_from([-50, 50])
SIGNED = st.builds(Integer, st.integers(2, 8), FRACTIONS, signed=st.just(True))
BYTES = SIGNED | st.builds(Integer, st.integers(2, 8), FRACTIONS, signed=st.just(False))
WEIGHTS = SIGNED | st.builds(Integer, st.integers(2, 7), FRACTIONS, signed=st.just(False))
RULE = {"name": ["integer"], "data_in_width": [4, 8], "data_in_frac_width": [4]}
RULE |= {"weight_width": [3, 8], "weight_frac_width": [6], "bias_width": [8], "bias_frac_width": [6]}


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def on_grid(fmt: Integer, *shape: int, seed: int) -> Tensor:
    """Values of a format, its greatest ones among them."""
    return fmt.quantize(normal(*shape, seed=seed) * 2.0 ** (fmt.width - 2 - fmt.fraction))


def by_bytes(x: Tensor, fmt: Integer, codes: Codes, bias: Tensor | None = None) -> Tensor | None:
    grid = grid_of(fmt)
    if not may_be_bytes(x) or not suits(x, grid, codes, bias):
        return None
    numbers = rounded(x, grid)
    return None if numbers is None else product(numbers, grid, codes, bias)


@given(BYTES, st.integers(0, 9))
@settings(deadline=None, max_examples=60)
def test_data_is_rounded_as_its_format_rounds_it(fmt: Integer, seed: int):
    """Halves and what is beyond the ends among it."""
    step = 2.0**-fmt.fraction
    x = torch.cat([normal(500, seed=seed) * 2.0**fmt.width, torch.arange(-300, 300) / 2]) * step
    x = torch.cat([x, x.nextafter(x + step), x.nextafter(x - step)])[:, None]
    grid = grid_of(fmt)
    assert torch.equal((rounded(x, grid).float() - grid.zero) * step, fmt.quantize(x))


@given(BYTES, WEIGHTS, st.sampled_from([64, 100, 129]), st.integers(0, 9), st.booleans())
@settings(deadline=None, max_examples=40)
def test_sums_are_exact(data: Integer, weight: Integer, inputs: int, seed: int, transposed: bool):
    x, w = on_grid(data, 2, 150, inputs, seed=seed), on_grid(weight, 250, inputs, seed=seed + 1)
    x = x.transpose(1, 2).contiguous().transpose(1, 2) if transposed else x
    found = by_bytes(x, data, Codes.of(w, grid_of(weight).step))
    assert found is not None
    assert torch.equal(found.double(), x.double() @ w.double().t())


WINDOWS = st.builds(
    Window,
    st.sampled_from([(1, 1), (2, 1)]),
    st.sampled_from([(0, 0), (1, 2)]),
    st.sampled_from([(1, 1), (1, 2)]),
    st.sampled_from([1, 2]),
)


@given(BYTES, WEIGHTS, WINDOWS, st.sampled_from([(3, 3), (1, 1), (2, 3)]), st.integers(0, 9), st.booleans())
@settings(deadline=None, max_examples=60)
def test_convolutions_are_exact(
    data: Integer, weight: Integer, window: Window, sides: tuple[int, int], seed: int, last: bool
):
    x = on_grid(data, 16, 64, 14, 13, seed=seed)
    w = on_grid(weight, 60, 64 // window.groups, *sides, seed=seed + 1)
    x = x.contiguous(memory_format=torch.channels_last) if last else x
    found = by_bytes(x, data, Codes.of(w, grid_of(weight).step, window))
    over = (window.stride, window.padding, window.dilation, window.groups)
    expected = functional.conv2d(x.double(), w.double(), None, *over)
    assert found is not None
    assert torch.equal(found.double(), expected)


@given(st.integers(2, 8), st.booleans(), st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_sums_up_to_the_last_that_float32_has_are_exact(width: int, signed: bool, seed: int):
    """Data at its limits and weights of one sign: sums grow up to the bound, or are left to floats."""
    data, draw = Integer(width, 0, signed=signed), np.random.default_rng(seed)
    low, high = data.codes
    inputs = int(draw.integers(64, 2 ** (26 - 7 - width) // 2 + 65))
    x = torch.from_numpy(draw.choice([low, high, high], (256, inputs)).astype(np.float32))
    w = torch.from_numpy(draw.choice([127, 126], (128, inputs)).astype(np.float32))
    w[::3] *= -1
    found = by_bytes(x, data, Codes.of(w, 1.0))
    fits = 2**width * 127 * inputs <= 2**24
    assert found is not None if fits else True
    assert found is None or torch.equal(found.double(), x.double() @ w.double().t())


def test_a_bias_is_added_as_floats_add_it():
    fmt, bias = Integer(8, 4), normal(250, seed=3)
    x, w = on_grid(fmt, 300, 64, seed=0), on_grid(Integer(8, 6), 250, 64, seed=1)
    found = by_bytes(x, fmt, Codes.of(w, 2.0**-6), bias)
    assert torch.equal(found, (x.double() @ w.double().t()).float() + bias)


@pytest.mark.parametrize(
    "fmt",
    [Integer(9, 4), Integer(9, 4, signed=False), Integer(4, "auto"), ww.formats.Binary(), None],
    ids=["nine bits", "nine unsigned", "calibrated to data", "no fixed point", "float"],
)
def test_formats_that_are_no_bytes_are_left_alone(fmt: object):
    assert grid_of(fmt) is None


def big(inputs: int = 256, rows: int = 256) -> tuple[Tensor, Tensor]:
    x, w = Integer(8, 4).quantize(normal(rows, inputs)), Integer(8, 6).quantize(normal(128, inputs, seed=1))
    assert x.numel() * len(w) >= LEAST_PRODUCTS
    return x, w


def multiplied(x: Tensor, w: Tensor) -> Tensor | None:
    return by_bytes(x, Integer(8, 4), Codes.of(w, 2.0**-6), torch.zeros(len(w)))


def test_what_bytes_would_not_give_is_left_to_floats():
    x, w = big()
    assert multiplied(x, w) is not None
    assert multiplied(x[:2], w) is None  # too little work
    assert multiplied(x.double(), w) is None
    assert multiplied(x.clone().index_fill_(0, torch.tensor(3), torch.nan), w) is None
    assert multiplied(x, w.clone().fill_(torch.nan)) is None
    with torch.autocast("cpu"):
        assert multiplied(x, w) is None
    wide, heavy = big(2048, 64)
    assert multiplied(wide, heavy) is not None
    assert multiplied(wide, heavy.fill_(127 / 64)) is None  # 2048 * 256 * 127 is beyond 2^24


class Recorded(nn.Module):
    """Linear layers and an addmm that torch.fx can't trace, as a value is asked for."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(64, 128), nn.Linear(96, 3)
        self.weight, self.bias = nn.Parameter(torch.randn(128, 96) / 8), nn.Parameter(torch.randn(96))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(x)) if bool(x.isfinite().any()) else x
        rows = torch.addmm(self.bias, h.flatten(0, 1), self.weight)
        return self.last(rows.view(len(x), -1, 96)).mean(1)


class WithoutValues(nn.Module):
    """1x1 convolutions, one of them with a stride, and linear layers on several axes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.wide = nn.Conv2d(64, 96, 1)
        self.down = nn.Conv2d(96, 64, 1, stride=2, bias=False)
        self.linear, self.last = nn.Linear(64, 80), nn.Linear(80, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.down(torch.relu(self.wide(x)))
        return self.last(torch.relu(self.linear(h.flatten(2).transpose(1, 2)))).mean(1)


def used_bytes(evaluator: Evaluator) -> bool:
    """Whether weights were turned into bytes: of a planned network those of all layers."""
    prepared = evaluator.prepared
    if isinstance(prepared.single, Rerun):
        return bool(prepared.single._bytes.kept)
    assert prepared.sharing is not None
    kernels = [step.kernel for step in prepared.sharing.plan.steps if isinstance(step.kernel, ByteLayer)]
    return len(kernels) == 4 and all(kernel.kept for kernel in kernels)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "recorded": (Recorded, (20, 64)),
    "planned": (WithoutValues, (64, 12, 12)),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("k", [1, 12])
def test_candidates_are_evaluated_as_their_networks_compute(name: str, k: int):
    make, shape = NETWORKS[name]
    x = normal(40, *shape)
    graph = ww.Graph(make().eval(), x)
    types = {layer.type for layer in graph.layers if layer.type in ("linear", "conv2d", "addmm")}
    assert (graph.capture == "running") == (name == "recorded")
    no_bias = {key: value for key, value in RULE.items() if not key.startswith("bias")}
    names = {layer.name: layer for layer in graph.layers if layer.type in types}
    seed = {n: {"config": RULE if "bias" in layer.tensors else no_bias} for n, layer in names.items()}
    space = ww.QuantisationSpace(graph, by="name", seed=seed)
    data = Batches((x,), torch.randint(0, 3, (40,)), size=40)
    evaluator = Evaluator(graph, space, data, metrics=["accuracy", "loss"])
    candidates = space.sample(k, np.random.default_rng(0))
    found = evaluator(candidates)
    assert used_bytes(evaluator)
    for row, candidate in enumerate(candidates):
        model = evaluator.network(candidate).model
        with torch.no_grad():
            scores = model(x)
        assert found["loss"][row] == pytest.approx(
            functional.cross_entropy(scores, data.labels).item(), rel=1e-6
        )
        hits = count_outcomes(scores[None], data.labels, loss=False).hits.sum()
        assert found["accuracy"][row] == int(hits) / 40


def test_a_weight_that_changes_is_turned_into_bytes_anew():
    _, w = big()
    codes = Codes.of(w, 2.0**-6, out_first=True)
    assert codes.is_of(w)
    w.mul_(0.5)
    assert not codes.is_of(w)
    assert not codes.is_of(w.clone())


def test_a_sample_of_nan_fails_as_with_floats():
    x = normal(40, 20, 64)
    x[3, 2, 1] = torch.nan
    graph = ww.Graph(Recorded().eval(), normal(40, 20, 64))
    seed = {"linear": {"config": RULE}}
    space = ww.QuantisationSpace(graph, by="type", seed=seed)
    data = Batches((x,), torch.randint(0, 3, (40,)), size=40)
    results = Evaluator(graph, space, data, metrics=["accuracy"])(space.sample(2, np.random.default_rng(0)))
    assert set(results.failures) == {0, 1}
