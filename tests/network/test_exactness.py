"""Sums that float32 does not hold: their bits, and rounding that can be rounded again."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import widthwise as ww
from helpers.exact import perceptron
from widthwise.formats import Integer, parse
from widthwise.network.exactness import accumulator_bits, exceeds_float, narrowed, rounded_by_sums, row_sums
from widthwise.network.scheme import Scheme

wide = st.floats(-1e30, 1e30, allow_subnormal=False)


@given(st.lists(wide, min_size=1, max_size=20))
def test_rounded_to_odd_is_the_neighbour_whose_last_bit_is_set(values: list[float]) -> None:
    found = narrowed(torch.tensor(values, dtype=torch.float64))
    assert found.dtype == torch.float32
    for value, number in zip(values, found.tolist(), strict=True):
        if float(np.float32(value)) == value:
            assert number == value
            continue
        odd = np.float32(number).view(np.int32) & 1
        low, high = (float(np.nextafter(np.float32(number), np.float32(end))) for end in (-np.inf, np.inf))
        assert odd
        assert low < value < high


@given(
    st.lists(st.integers(-(2**50), 2**50), min_size=1, max_size=30),
    st.integers(2, 22),
    st.integers(-5, 25),
    st.booleans(),
)
def test_a_format_reads_from_it_what_it_would_read_from_the_exact_number(
    codes: list[int], width: int, fraction: int, signed: bool
) -> None:
    fmt = Integer(width, fraction, signed)
    near_ties = [code * 2.0**-30 for code in codes]
    near_ties += [(2 * code + 1) * 2.0 ** -(fraction + 1) + side for code in codes for side in (0, 2**-20)]
    x = torch.tensor(near_ties, dtype=torch.float64)
    assert torch.equal(fmt.quantize(narrowed(x)).double(), fmt.quantize(x))


def test_gradients_pass_through() -> None:
    x = torch.tensor([1.0, 2**-40], dtype=torch.float64, requires_grad=True)
    narrowed(3 * x).sum().backward()
    assert x.grad.tolist() == [3, 3]


@given(st.integers(1, 6), st.integers(2, 16), st.integers(2, 16), st.integers(-3, 20), st.booleans())
def test_accumulators_are_as_wide_as_the_widest_sum(
    inputs: int, width: int, weight_width: int, bias_fraction: int, signed: bool
) -> None:
    """By trying the inputs that make each sum greatest and least."""
    fmt, weights, biases = Integer(width, 3, signed), Integer(weight_width, 5), Integer(8, bias_fraction)
    generator = torch.Generator().manual_seed(width)
    weight = weights.quantize(torch.randn(3, inputs, generator=generator) * 2.0 ** (weight_width - 6))
    bias = biases.quantize(torch.randn(3, generator=generator))
    bits = accumulator_bits(Scheme(fmt, weights, biases), row_sums(weights, weight), bias)
    least, most = (Fraction(code, 8) for code in fmt.codes)
    step = Fraction(1, 2**60)
    reached = [Fraction(0)]
    for row, b in zip(weight.tolist(), bias.tolist(), strict=True):
        exact = [Fraction(w) for w in row]
        reached.append(sum((max(w * least, w * most, 0) for w in exact), start=max(Fraction(b), Fraction(0))))
        reached.append(sum((min(w * least, w * most, 0) for w in exact), start=min(Fraction(b), Fraction(0))))
    numbers = [*weight.flatten().tolist(), *bias.tolist()]
    while (
        step < 2**60
        and all((Fraction(w) / 8 / (2 * step)).denominator == 1 for w in weight.flatten().tolist())
        and all((Fraction(b) / (2 * step)).denominator == 1 for b in bias.tolist())
    ):
        step *= 2  # the coarsest grid that products and biases lie on
    if not any(numbers):
        return
    assert bits is not None
    low, high = min(reached) / step, max(reached) / step
    assert -(2 ** (bits - 1)) <= low <= high < 2 ** (bits - 1)


SIXTEEN = Scheme(Integer(16, 12), Integer(16, 14), Integer(16, 12))


@pytest.mark.parametrize(
    ("scheme", "exceeds"),
    [
        (SIXTEEN, True),
        (Scheme(Integer(8, 4), Integer(8, 6), Integer(8, 4)), False),
        (Scheme(Integer(16, 12), Integer(16, 14), None), False),  # a bias in float
        (Scheme(None, Integer(16, 14), Integer(16, 12)), False),
        (Scheme(Integer(16, 12), parse("int<16>"), Integer(16, 12)), False),  # a scale that is any number
        (Scheme(Integer(8, 4), Integer(8, 6), Integer(16, 30)), True),  # a bias of a finer step
        (Scheme(Integer(20, 12), parse("fp8_e5m2"), Integer(8, 4)), True),
    ],
)
def test_what_is_beyond_float32_follows_from_formats_and_weights(scheme: Scheme, exceeds: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(16, 8)
    weight = layer.weight if scheme.weight is None else scheme.weight.quantize(layer.weight)
    bias = layer.bias if scheme.bias is None else scheme.bias.quantize(layer.bias)
    assert exceeds_float(layer, scheme, weight.detach(), bias.detach()) == exceeds


@pytest.mark.parametrize("grad", [False, True])
def test_a_wide_layer_computes_what_fractions_do(grad: bool) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 5)).eval()
    graph = ww.Graph(network).quantized({"_0": SIXTEEN, "_2": SIXTEEN})
    x = torch.randn(20, 16) * 3
    own = {"data_in": SIXTEEN.data_in, "weight": SIXTEEN.weight, "bias": SIXTEEN.bias}
    exact = perceptron(x, network, [own, own])  # type: ignore[list-item]
    with torch.set_grad_enabled(grad):
        found = graph.model(x)
    assert found.dtype == torch.float32
    outputs = torch.tensor([[float(value) for value in row] for row in exact], dtype=torch.float64)
    assert torch.equal(found, narrowed(outputs))
    plain = network[2](torch.relu(network[0](x)))
    assert not torch.equal(found, plain)


def test_a_batch_norm_that_only_scales_is_exact_too() -> None:
    norm = nn.BatchNorm1d(4, eps=0.0).eval()
    norm.weight.data.uniform_(0.5, 2, generator=torch.Generator().manual_seed(0))
    graph = ww.Graph(nn.Sequential(norm)).quantized({"_0": SIXTEEN})
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(1)) * 3
    weight, bias = (
        Integer(16, 14).quantize(norm.weight.double()),
        Integer(16, 12).quantize(norm.bias.double()),
    )
    exact = Integer(16, 12).quantize(x.double()) * weight + bias
    with torch.no_grad():
        assert torch.equal(graph.model(x), narrowed(exact))
    assert not torch.equal(narrowed(exact).double(), exact)


def test_rounding_by_sums_alone_is_rounding_of_bits() -> None:
    """For tools that have no view of bits."""
    generator = torch.Generator().manual_seed(0)
    whole = torch.randint(-(2**45), 2**45, (4000,), generator=generator)
    cut = (whole >> torch.randint(0, 44, (4000,), generator=generator)).double() * 2.0**-17
    near_one = [1 + sign * 2.0**-bits for sign in (-1, 1) for bits in range(22, 53)]
    odd = torch.tensor([0.0, -0.0, torch.inf, *near_one], dtype=torch.float64)
    x = torch.cat([cut, odd, -odd, torch.randn(4000, dtype=torch.float64, generator=generator)])
    assert torch.equal(rounded_by_sums(x), narrowed(x))
