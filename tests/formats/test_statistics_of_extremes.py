"""Scales and thresholds that follow the data, where it is huge, subnormal, NaN or infinite: against exact
fractions.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from helpers.formats.strategies import following
from widthwise.formats import Binary, BlockFP, Format, Integer, MXFloat, MXInt, ScaledInteger, Ternary

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
WIDE = [torch.float32, torch.float64]  # in which formats compute


def extreme(kind: str, dtype: torch.dtype) -> Tensor:
    """[2, 6] numbers: near the greatest of the dtype, its subnormals, or both with ordinary ones."""
    info = torch.finfo(dtype)
    rows = {
        "huge": [[1.0, -1.0, 0.9, 0.75, -0.5, 1.0], [1.0] * 6],
        "subnormal": [[1.0, -3.0, 0.0, 2.0, -7.0, 1.0], [1.0] * 6],
        "mixed": [[1.0, -1.0, 2.0**-60, 0.0, 0.25, 0.5], [0.0] * 6],
    }
    unit = info.tiny * info.eps if kind == "subnormal" else info.max
    return (torch.tensor(rows[kind], dtype=torch.float64) * unit).to(dtype)


def fractions(x: Tensor) -> list[Fraction]:
    return [abs(Fraction(value)) for value in x.double().flatten().tolist()]


def mean(values: list[Fraction]) -> Fraction:
    return sum(values, Fraction()) / max(len(values), 1)


def near(found: float, exact: Fraction, dtype: torch.dtype) -> bool:
    info = torch.finfo(dtype)
    return abs(Fraction(found) - exact) <= Fraction(info.eps) * exact + Fraction(info.tiny * info.eps) / 2


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("kind", ["huge", "subnormal", "mixed"])
@pytest.mark.parametrize("axis", [None, 0])
def test_the_scale_of_binary_is_the_mean_magnitude(kind: str, dtype: torch.dtype, axis: int | None) -> None:
    x = extreme(kind, dtype)
    scales = Binary(scaling_factor=True, axis=axis).calibrated(x).scale
    for found, part in zip(scales, [x] if axis is None else x, strict=True):
        exact = mean(fractions(part))
        assert near(found, exact, dtype) if exact else 0 < found < 1e-30


@pytest.mark.parametrize(
    ("kind", "dtype"),  # float64's own subnormals have no wider dtype to take their mean in
    [*((kind, dtype) for kind in ("huge", "mixed") for dtype in WIDE), ("subnormal", torch.float32)],
)
@pytest.mark.parametrize("axis", [None, 0])
def test_ternary_compares_with_the_exact_mean(kind: str, dtype: torch.dtype, axis: int | None) -> None:
    x = extreme(kind, dtype)
    fmt = Ternary(scaling_factor=True, axis=axis)
    scales = fmt.calibrated(x).scale
    parts = [x] if axis is None else list(x)
    made = [fmt.quantize(x)] if axis is None else list(fmt.quantize(x))
    for scale, part, found in zip(scales, parts, made, strict=True):
        values = fractions(part)
        above = [value > Fraction(3, 4) * mean(values) for value in values]
        assert [value != 0 for value in found.flatten().tolist()] == above
        assert near(scale, mean([v for v, kept in zip(values, above, strict=True) if kept]), dtype)


@pytest.mark.parametrize("fmt", [Binary(scaling_factor=True), Ternary(scaling_factor=True)], ids=repr)
def test_a_mean_of_many_huge_values_is_theirs(fmt: Format) -> None:
    x = torch.full((64, 64), 3e38)
    assert torch.equal(fmt.quantize(x), x)
    assert torch.equal(fmt.calibrated(x).quantize(-x), -x)


@given(following, st.integers(0, 23), st.sampled_from(DTYPES))
def test_nan_stays_in_its_place_and_spoils_nothing(fmt: Format, place: int, dtype: torch.dtype) -> None:
    """As if it were not there: among other values that the statistics don't see, zeros among maxima."""
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(place)).to(dtype)
    if isinstance(fmt, Ternary | Binary):
        x = x.sign()  # the mean without a value is the mean
    spoilt, zeroed = x.clone(), x.clone()
    spoilt.view(-1)[place] = math.nan
    zeroed.view(-1)[place] = 0.0 if isinstance(fmt, ScaledInteger | Integer) else 1.0
    found, expected = fmt.quantize(spoilt).flatten(), fmt.quantize(zeroed).flatten()
    others = torch.arange(24) != place
    assert found[place].isnan()
    assert torch.equal(found[others], expected[others])
    fixed = fmt.calibrated(spoilt)
    assert torch.equal(fixed.quantize(spoilt).flatten()[others], expected[others])
    assert fixed.quantize(spoilt).flatten()[place].isnan()
    assert torch.equal(fixed.clipped(spoilt), fmt.clipped(spoilt))


@given(following, st.sampled_from(DTYPES))
def test_nothing_but_nan_stays_nan_and_can_be_calibrated(fmt: Format, dtype: torch.dtype) -> None:
    x = torch.full((2, 3), math.nan, dtype=dtype)
    assert fmt.quantize(x).isnan().all()
    fixed = fmt.calibrated(x)
    assert fixed.quantize(x).isnan().all()
    assert fixed.quantize(torch.ones(2, 3, dtype=dtype)).isfinite().all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_infinity_counts_as_the_greatest_value_in_a_mean(dtype: torch.dtype) -> None:
    top = torch.finfo(dtype).max
    x = torch.tensor([math.inf, -math.inf, 0.0, 0.0], dtype=dtype)
    wide = torch.finfo(torch.float64 if dtype == torch.float64 else torch.float32).max
    (scale,) = Binary(scaling_factor=True).calibrated(x).scale
    assert scale == wide / 2
    found = Ternary(scaling_factor=True).quantize(x)
    assert found.tolist() == [top, -top, 0, 0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("fmt", [BlockFP(), MXInt(), MXFloat()], ids=repr)
def test_an_infinity_in_a_block_is_the_greatest_value_of_the_dtype(fmt: Format, dtype: torch.dtype) -> None:
    x = torch.tensor([math.inf, -math.inf, 1.0, 0.0], dtype=dtype)
    ended = x.clamp(-torch.finfo(dtype).max, torch.finfo(dtype).max)
    assert torch.equal(fmt.quantize(x), fmt.quantize(ended))
    assert fmt.quantize(x).isfinite().all()


@pytest.mark.parametrize("scale", [1e-300, 1e-45, 1e-39, 1e39, 1e300])
def test_a_fixed_scale_that_float32_lacks_rounds_as_in_float64(scale: float) -> None:
    x = torch.tensor([0.0, 1e-44, -1e-38, 1.0, 3e38, -3e38, math.inf])
    ended = np.clip(x.double().numpy(), -1e308, 1e308)
    with np.errstate(over="ignore"):
        codes = np.clip(np.rint(ended / scale), -127, 127)
        expected = np.clip(codes * scale, -torch.finfo(x.dtype).max, torch.finfo(x.dtype).max)
    assert ScaledInteger(8, scale=scale).quantize(x).tolist() == expected.astype(np.float32).tolist()


@pytest.mark.parametrize("fmt", [Binary(bipolar=False, scale=1e39), Ternary(threshold=0.5, scale=1e39)])
def test_zero_times_a_scale_that_float32_lacks_is_zero(fmt: Format) -> None:
    top = torch.finfo(torch.float32).max
    assert fmt.quantize(torch.tensor([0.0, 1.0])).tolist() == [0.0, top]


def test_nothing_finite_exceeds_a_threshold_beyond_the_dtype() -> None:
    x = torch.tensor([1.0, 3e38, -math.inf])
    assert Ternary(threshold=1e39).quantize(x).tolist() == [0.0, 0.0, -1.0]
