"""Oracles: value sets decoded from bits as specifications say, and rounding to them by brute force."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Values:
    """The finite values of a format, rising, and for each whether its last significant digit is even."""

    value: Floats
    even: NDArray[np.bool_]

    def nearest(self, x: Floats) -> Floats:
        """The nearest value, ties to the even digit, or away from zero where both are odd; saturating.

        IEEE 754-2019 section 4.3.1. NaN stays NaN. -0 and +0 are told apart by nobody here.
        """
        if len(self.value) == 1:
            return np.where(np.isnan(x), np.nan, self.value[0])
        above = np.searchsorted(self.value, np.nan_to_num(x, nan=0.0)).clip(1, len(self.value) - 1)
        low, high = self.value[above - 1], self.value[above]
        with np.errstate(invalid="ignore"):
            to_low, to_high = x - low, high - x
        away_is_high = abs(high) > abs(low)
        tie_is_high = np.where(self.even[above] == self.even[above - 1], away_is_high, self.even[above])
        nearest = np.where((to_high < to_low) | ((to_high == to_low) & tie_is_high), high, low)
        return np.where(np.isnan(x), np.nan, nearest)

    def scaled(self, scale: float) -> Values:
        """Every value times a power of two."""
        return Values(self.value * scale, self.even)


def of_codes(value: Floats, digits: Ints) -> Values:
    """Values and significands of codes; of several codes for one value the longest significand counts."""
    order = np.lexsort((-abs(digits), value))
    value, digits = value[order], digits[order]
    first = np.concatenate([[True], value[1:] != value[:-1]])
    return Values(value[first], digits[first] % 2 == 0)


def integers(width: int, frac_width: int, *, signed: bool) -> Values:
    """Two's complement or unsigned codes of `width` bits, times 2^-frac_width."""
    codes = np.arange(2**width)
    if signed:
        codes = np.where(codes >= 2 ** (width - 1), codes - 2**width, codes)
    return of_codes(np.ldexp(codes.astype(float), -frac_width), codes)


def _fields(width: int, exponent_width: int) -> tuple[Ints, Ints, Ints, int]:
    """Sign (+1, -1), exponent and mantissa of every code, and the mantissa's bits."""
    codes = np.arange(2**width)
    bits = width - exponent_width - 1
    return (
        1 - 2 * (codes >> (width - 1)),
        (codes >> bits) & (2**exponent_width - 1),
        codes & (2**bits - 1),
        bits,
    )


def ieee(width: int, exponent_width: int, bias: int, *, specials: int | str = 0) -> Values:
    """IEEE 754's binary encoding: implicit one, subnormals where the exponent's code is 0.

    `specials`: "all" keeps the whole greatest exponent for infinities and NaN, a number its last so many
    mantissas.
    """
    sign, exponent, mantissa, bits = _fields(width, exponent_width)
    significand = mantissa + np.where(exponent > 0, 2**bits, 0)
    value = sign * np.ldexp(significand.astype(float), np.maximum(exponent, 1) - bias - bits)
    top = exponent == 2**exponent_width - 1
    kept = ~top if specials == "all" else ~(top & (mantissa >= 2**bits - int(specials)))
    return of_codes(value[kept], significand[kept])


def denormals(width: int, exponent_width: int, bias: int) -> Values:
    """No implicit one anywhere: 2^(E - bias) * M / 2^m."""
    sign, exponent, mantissa, bits = _fields(width, exponent_width)
    return of_codes(sign * np.ldexp(mantissa.astype(float), exponent - bias - bits), mantissa)


def powers(width: int, bias: int, *, zero: bool) -> Floats:
    """The positive values of a log format, rising."""
    values = np.ldexp(1.0, np.arange(2 ** (width - 1)) - bias)
    if zero:
        values[0] = 0.0
    return values


def nearest_power(x: Floats, values: Floats) -> Floats:
    """The power of two among `values` nearest to |x| on a logarithmic axis, with x's sign.

    A zero among them takes what lies up to half the least power.
    """
    magnitude = abs(x)
    least = values[values > 0][0]
    result = np.full(x.shape, least)
    for value in values[values > 0][1:]:
        result = np.where(magnitude > value * np.sqrt(0.5), value, result)
    if values[0] == 0:
        result = np.where(magnitude <= least / 2, 0.0, result)
    return np.where(np.isnan(x), np.nan, np.where(x < 0, -result, result))


def probes(values: Floats) -> Floats:
    """float32 numbers that tell rounding rules apart: values, middles, their neighbours, far ones."""
    middles = (values[1:] + values[:-1]) / 2
    ends = np.array([values[0], values[-1]])
    exact = np.concatenate([values, middles, ends * 1.25, ends * 3, [0.0, np.inf, -np.inf, np.nan]])
    with np.errstate(over="ignore"):
        near = exact.astype(np.float32)
        down, up = np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))
    return np.concatenate([near, down, up]).astype(np.float64)


def every_float16() -> Tensor:
    """Every bit pattern of float16, as float32."""
    patterns = np.arange(2**16, dtype=np.uint16).view(np.float16)
    return torch.from_numpy(patterns.astype(np.float32))


def random_float32(count: int, *, seed: int = 0) -> Tensor:
    """float32 numbers with random bits: every exponent, NaN, infinities and subnormals among them."""
    bits = np.random.default_rng(seed).integers(0, 2**32, count, dtype=np.uint32)
    return torch.from_numpy(bits.view(np.float32))


def assert_same(found: Tensor, expected: Tensor | np.ndarray, x: Tensor | np.ndarray | None = None) -> None:
    """Equal elements, NaN equal to NaN; says what the first difference was made from."""
    a = found.detach().double().numpy().reshape(-1)
    with np.errstate(invalid="ignore"):  # NaN of every kind
        b = np.asarray(expected, dtype=np.float64).reshape(-1)
    assert a.shape == b.shape
    wrong = np.flatnonzero(~((a == b) | (np.isnan(a) & np.isnan(b))))
    made = (
        ""
        if x is None or not len(wrong)
        else f" from {np.asarray(x, dtype=np.float64).reshape(-1)[wrong[0]]!r}"
    )
    assert not len(wrong), f"{len(wrong)} of {len(a)} differ, first {a[wrong[0]]!r} != {b[wrong[0]]!r}{made}"
