"""Every bit pattern: a format gives the values that its specification's codes stand for, no more, no less."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from helpers.formats.oracles import (
    Floats,
    Values,
    assert_same,
    denormals,
    every_float16,
    ieee,
    integers,
    nearest_power,
    powers,
    probes,
)
from widthwise.formats import (
    Binary,
    Format,
    Integer,
    Log,
    MinifloatDenorm,
    MinifloatIEEE,
    NamedFloat,
    Ternary,
)


def assert_gives(fmt: Format, values: Values) -> None:
    """Probes go to the nearest value, each value is reached, in float32 and float64; so is the range."""
    x = probes(values.value)
    expected = values.nearest(x)
    for dtype in (torch.float32, torch.float64):
        found = fmt.quantize(torch.from_numpy(x).to(dtype))
        assert_same(found, expected, x)
        assert np.array_equal(np.unique(found[~found.isnan()].double().numpy()), values.value)
    assert fmt.range == (values.value[0], values.value[-1])


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("width", range(1, 17))
def test_integers_are_the_codes_of_their_width(width: int, signed: bool) -> None:
    for frac_width in {width // 2, width + 5} if width > 12 else {-3, 0, width // 2, width, width + 5}:
        fmt = Integer(width, frac_width, signed=signed)
        assert_gives(fmt, integers(width, frac_width, signed=signed))


WIDTHS = [(w, e) for w in range(2, 10) for e in range(1, min(8, w - 1) + 1)]
WIDE = [(12, 1), (12, 5), (13, 8), (16, 4), (16, 5), (16, 8)]


@pytest.mark.parametrize(("width", "exponent_width"), WIDTHS + WIDE)
def test_ieee_minifloats_are_their_codes(width: int, exponent_width: int) -> None:
    bias = 2 ** (exponent_width - 1) - 1
    values = ieee(width, exponent_width, bias)
    if values.value[-1] < 3e38:  # further than float32 reaches: see the dtypes
        assert_gives(MinifloatIEEE(width, exponent_width), values)
    assert_gives(
        MinifloatIEEE(width, exponent_width, exponent_bias=bias + 4), ieee(width, exponent_width, bias + 4)
    )


@pytest.mark.parametrize(("width", "exponent_width"), [(w, e) for w, e in WIDTHS + WIDE if w - e > 1])
def test_ieee_minifloats_with_infinities_leave_the_greatest_exponent_to_them(
    width: int, exponent_width: int
) -> None:
    bias = 2 ** (exponent_width - 1) - 1
    values = ieee(width, exponent_width, bias, specials="all")
    assert_gives(MinifloatIEEE(width, exponent_width, infinities=True), values)


@pytest.mark.parametrize(("width", "exponent_width"), [(w, e) for w, e in WIDTHS + WIDE if w - e > 1])
def test_overflow_starts_where_the_value_after_the_greatest_would_be_nearer(
    width: int, exponent_width: int
) -> None:
    bias = 2 ** (exponent_width - 1) - 1
    finite = ieee(width, exponent_width, bias, specials="all").value
    unbounded = ieee(
        width + 1, exponent_width + 1, bias
    )  # one more exponent bit goes on where the other stops
    within = unbounded.value[abs(unbounded.value) <= 2 * abs(finite).max() + 4]
    x = probes(within[abs(within) < 2.0**127])
    nearest = unbounded.nearest(x)
    expected = np.where(abs(nearest) > finite[-1], np.copysign(np.inf, x), nearest)
    fmt = MinifloatIEEE(width, exponent_width, infinities=True, saturating=False)
    assert_same(fmt.quantize(torch.from_numpy(x).float()), expected, x)


@pytest.mark.parametrize(("width", "exponent_width"), [(w, e) for w, e in WIDTHS + WIDE if w - e > 1])
def test_denormal_minifloats_are_their_codes(width: int, exponent_width: int) -> None:
    bias = 2 ** (exponent_width - 1) - 1
    values = denormals(width, exponent_width, bias)
    if values.value[-1] < 3e38:
        assert_gives(MinifloatDenorm(width, exponent_width), values)
    assert_gives(
        MinifloatDenorm(width, exponent_width, exponent_bias=bias + 4),
        denormals(width, exponent_width, bias + 4),
    )


NAMED = {
    "bf16": ieee(16, 8, 127, specials="all"),
    "fp16": ieee(16, 5, 15, specials="all"),
    "e4m3": ieee(8, 4, 7, specials=1),  # OCP 8-bit floats: one mantissa is NaN, no infinities
    "e5m2": ieee(8, 5, 15, specials="all"),
    "e2m3": ieee(6, 2, 1),  # OCP MX: no specials in 6 and 4 bits
    "e3m2": ieee(6, 3, 3),
    "e2m1": ieee(4, 2, 1),
}


@pytest.mark.parametrize("kind", NAMED)
def test_named_floats_are_their_codes(kind: str) -> None:
    assert_gives(NamedFloat(kind), NAMED[kind])


def assert_gives_powers(fmt: Format, positive: Floats) -> None:
    both = np.unique(np.concatenate([-positive, positive]))
    x = np.concatenate([probes(both), probes(both * 2**0.5)])
    expected = nearest_power(x, positive)
    for dtype in (torch.float32, torch.float64):
        found = fmt.quantize(torch.from_numpy(x).to(dtype))
        assert_same(found, expected, x)
        assert np.array_equal(np.unique(found[~found.isnan()].double().numpy()), both)
    assert fmt.range == (-positive[-1], positive[-1])


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("width", range(2, 9))
def test_log_values_are_the_powers_of_their_codes(width: int, zero: bool) -> None:
    for bias in (2 ** (width - 2) - 1, 0, 5, 120):
        if 2 ** (width - 1) - 1 - bias < 127:
            assert_gives_powers(Log(width, exponent_bias=bias, zero=zero), powers(width, bias, zero=zero))
    assert Log(width, zero=zero) == Log(width, exponent_bias=2 ** (width - 2) - 1, zero=zero)


@pytest.mark.parametrize(
    ("fmt", "values"),
    [
        (Binary(), {-1.0, 1.0}),
        (Binary(bipolar=False), {0.0, 1.0}),
        (Binary(scale=0.25), {-0.25, 0.25}),
        (Binary(bipolar=False, scale=3), {0.0, 3.0}),
        (Ternary(threshold=0.5), {-1.0, 0.0, 1.0}),
        (Ternary(threshold=0.5, scale=2.5), {-2.5, 0.0, 2.5}),
    ],
    ids=repr,
)
def test_binary_and_ternary_have_two_and_three_values(fmt: Format, values: set[float]) -> None:
    found = fmt.quantize(every_float16())
    assert set(found[~found.isnan()].tolist()) == values
    assert fmt.range == (min(values), max(values))
