"""What holds for every format and every tensor."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from helpers.formats.strategies import (
    any_format,
    auto_integers,
    block_formats,
    elementwise,
    finite,
    following,
    integers,
    nearest,
    tables,
)
from widthwise.formats import Binary, Format, Integer, Log, ScaledInteger, Ternary
from widthwise.formats.block import BlockLog
from widthwise.testing import check_format

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal, NaN to NaN, and of one dtype and shape."""
    return a.dtype == b.dtype and a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())


@given(any_format, tables)
def test_every_format_keeps_the_contract(fmt: Format, x: Tensor) -> None:
    check_format(fmt, [x])
    assert not fmt.quantize(x.clone().requires_grad_()).requires_grad


@given(elementwise, finite)
def test_every_elementwise_format_keeps_it_on_lists(fmt: Format, x: Tensor) -> None:
    assert fmt.elementwise
    check_format(fmt, [x])


@given(following, tables)
def test_every_format_that_follows_the_data_keeps_it(fmt: Format, x: Tensor) -> None:
    check_format(fmt, [x])


@given(st.one_of(elementwise, block_formats()), tables)
def test_quantising_twice_is_quantising_once(fmt: Format, x: Tensor) -> None:
    if isinstance(fmt, Ternary) and fmt.threshold[0] >= fmt.range[1]:  # type: ignore[index]
        return  # what exceeds the threshold becomes less than it
    once = fmt.quantize(x)
    assert same(fmt.quantize(once), once)


@given(st.one_of(elementwise, block_formats(whole=True)), finite)
def test_order_is_kept(fmt: Format, x: Tensor) -> None:
    rising = x.sort().values
    assert (fmt.quantize(rising).diff() >= 0).all()


@given(st.one_of(nearest, block_formats(whole=True)), finite)
def test_no_other_value_of_the_format_is_nearer(fmt: Format, x: Tensor) -> None:
    if isinstance(fmt, BlockLog):
        return  # nearest on a logarithmic axis
    found = fmt.quantize(x).double()
    inside = fmt.inside(x) & ~fmt.clipped(x)
    x, kept = x[inside].double(), found[inside]
    assert ((kept - x).abs()[:, None] <= (found[None] - x[:, None]).abs()).all()


@given(integers, finite)
def test_errors_of_integers_are_at_most_half_a_step(fmt: Integer, x: Tensor) -> None:
    inside = fmt.inside(x)
    assert ((fmt.quantize(x) - x)[inside].double().abs() <= 2.0**-fmt.fraction / 2).all()
    assert same(fmt.quantize(x[~inside]), x[~inside].clamp(*fmt.range)) or fmt.width > 24


@given(st.one_of(elementwise, block_formats(), following), tables)
def test_formats_that_are_symmetric_are_odd(fmt: Format, x: Tensor) -> None:
    low, high = fmt.range
    if low != -high or isinstance(fmt, Integer) or (isinstance(fmt, ScaledInteger) and not fmt.symmetric):
        return
    if isinstance(fmt, Binary | Log | BlockLog):
        x = torch.where(x == 0, 1.0, x)  # zero becomes a positive value
    assert same(fmt.quantize(-x), -fmt.quantize(x))


@given(st.one_of(elementwise, block_formats()), tables, st.sampled_from(DTYPES[:2]))
def test_narrow_dtypes_give_what_float64_gives_where_they_can_hold_it(
    fmt: Format, x: Tensor, dtype: torch.dtype
) -> None:
    if isinstance(fmt, ScaledInteger | Binary | Ternary):
        return  # their scales are any numbers, values are rounded to the dtype
    x = x.clamp(-60000, 60000).to(dtype)
    exact, found = fmt.quantize(x.double()), fmt.quantize(x)
    holds = (exact.to(dtype).double() == exact) & exact.isfinite()
    assert torch.equal(found[holds].double(), exact[holds])


@settings(max_examples=300)
@given(st.one_of(nearest, block_formats()), tables, st.sampled_from(DTYPES[:2]))
def test_results_in_narrow_dtypes_are_values_of_the_format(
    fmt: Format, x: Tensor, dtype: torch.dtype
) -> None:
    if isinstance(fmt, ScaledInteger):
        return
    found = fmt.quantize(x.clamp(-60000, 60000).to(dtype)).double()
    if isinstance(fmt, BlockLog) and not fmt.zero:
        found = torch.where(found == 0, 1.0, found)
    assert same(fmt.quantize(found), found)


@given(any_format, tables)
def test_layout_in_memory_changes_nothing(fmt: Format, x: Tensor) -> None:
    spread = torch.stack([x, x * 3], -1)[..., 0]
    assert not spread.is_contiguous() or spread.numel() <= 1
    assert torch.equal(fmt.quantize(spread), fmt.quantize(x))
    turned = x.t().contiguous().t()
    assert torch.equal(fmt.quantize(turned), fmt.quantize(x))


@given(st.one_of(following, block_formats()))
def test_formats_that_look_at_their_neighbours_say_so(fmt: Format) -> None:
    assert not fmt.elementwise


@given(auto_integers, finite)
def test_auto_is_the_finest_that_keeps_every_value_within_half_a_step(fmt: Integer, x: Tensor) -> None:
    x = x.abs() if not fmt.signed else x
    fixed = fmt.calibrated(x)
    errors = (fixed.quantize(x.double()) - x).abs()
    if fmt.frac_width == "auto":
        assert (errors <= 2.0**-fixed.fraction / 2).all()
        if x.any() and fixed.fraction < 64:
            finer = Integer(fmt.width, fixed.fraction + 1, signed=fmt.signed)
            assert ((finer.quantize(x.double()) - x).abs() >= 2.0**-finer.fraction / 2).any()
    else:
        for frac_width in range(fixed.fraction - 3, min(fixed.fraction + 4, 64)):
            other = Integer(fmt.width, frac_width, signed=fmt.signed)
            others = (other.quantize(x.double()) - x).square().sum()
            assert errors.square().sum() <= others * (1 + 1e-5)  # sums are computed in float32


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_only_floats_can_be_quantised(dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=f"only float tensors.*{str(dtype).removeprefix('torch.')}"):
        Integer(8).quantize(torch.zeros(3, dtype=dtype))
