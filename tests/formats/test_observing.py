"""Formats are fixed from blocks of values as from all at once, in memory that does not grow with them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from helpers.formats.observing import held_by, observed
from widthwise.formats.base import Format
from widthwise.formats.binary import Binary
from widthwise.formats.integer import Integer
from widthwise.formats.scaled import ScaledInteger
from widthwise.formats.ternary import Ternary

EXACT: list[Format] = [
    Integer(8, "auto"),
    Integer(5, "auto", signed=False),
    Integer(8, "auto-mse"),
    Integer(4, "auto-mse"),
    Integer(3, "auto-mse", signed=False),
    ScaledInteger(8),
    ScaledInteger(8, symmetric=False),
    ScaledInteger(24),
    ScaledInteger(6, signed=False),
    ScaledInteger(8, per="channel", axis=1),
    ScaledInteger(4, per="channel", axis=-1, symmetric=False),
]
MEANS: list[Format] = [
    Binary(scaling_factor=True),
    Binary(scaling_factor=True, axis=1),
    Ternary(),
    Ternary(axis=-1),
    Ternary(scaling_factor=True),
    Ternary(scaling_factor=True, axis=1),
    Ternary(scaling_factor=True, threshold=0.5),
]


@st.composite
def values(draw: st.DrawFn) -> list[Tensor]:
    """Blocks of samples [n, 3, 4] of several magnitudes."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    scale = 2.0 ** draw(st.integers(-30, 30))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    return [torch.randn(n, 3, 4, generator=generator, dtype=dtype) * scale for n in sizes]


@pytest.mark.parametrize("fmt", EXACT, ids=repr)
@given(blocks=values())
def test_extremes_and_frac_widths_are_those_of_all_values(fmt: Format, blocks: list[Tensor]) -> None:
    assert observed(fmt, blocks) == fmt.calibrated(torch.cat(blocks))


@pytest.mark.parametrize("fmt", MEANS, ids=repr)
@given(blocks=values())
def test_means_are_those_of_all_values_to_the_precision_of_floats(fmt: Format, blocks: list[Tensor]) -> None:
    found, wanted = observed(fmt, blocks), fmt.calibrated(torch.cat(blocks))
    for key in ("threshold", "scale"):
        one, other = getattr(found, key, None), getattr(wanted, key, None)
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(torch.tensor(one), torch.tensor(other), rtol=1e-5, atol=0.0)


@pytest.mark.parametrize("odd", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("fmt", [Integer(8, "auto"), Integer(6, "auto-mse")], ids=repr)
def test_fixed_point_leaves_out_what_is_not_finite(fmt: Format, odd: float) -> None:
    blocks = list(torch.linspace(-3, 5, 24).reshape(6, 4).split(2))
    blocks[1][0, 1] = odd
    assert observed(fmt, blocks) == fmt.calibrated(torch.cat(blocks))


@pytest.mark.parametrize("fmt", [Integer(8, "auto"), Integer(6, "auto-mse"), ScaledInteger(8)], ids=repr)
def test_zeros_alone_are_as_they_are_for_one_tensor(fmt: Format) -> None:
    blocks = [torch.zeros(2, 3), torch.zeros(1, 3)]
    assert observed(fmt, blocks) == fmt.calibrated(torch.cat(blocks))


def test_blocks_of_other_lengths_count_where_the_format_has_no_axis() -> None:
    blocks = [torch.full((2, 3), 1.0), torch.full((2, 5), 6.0), torch.full((2, 4, 7), -9.0)]
    everything = torch.cat([x.flatten() for x in blocks])
    for fmt in (Integer(8, "auto"), ScaledInteger(8), Integer(8, "auto-mse")):
        assert observed(fmt, blocks) == fmt.calibrated(everything)


@pytest.mark.parametrize("fmt", [*EXACT, *MEANS], ids=repr)
def test_what_is_kept_does_not_grow_with_the_blocks(fmt: Format) -> None:
    observer = fmt.observer()
    assert observer is not None
    x = torch.randn(8, 3, 4)
    observer.see(x)
    few = held_by(observer)
    for _ in range(20):
        observer.see(x)
    assert held_by(observer) == few <= 8
