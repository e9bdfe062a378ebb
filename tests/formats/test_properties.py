"""What holds for every format and every tensor."""

from __future__ import annotations

import json
import math

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
from widthwise.formats import Binary, Format, Integer, Log, ScaledInteger, Ternary, from_config, parse
from widthwise.formats.block import BlockLog

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal, NaN to NaN, and of one dtype and shape."""
    return a.dtype == b.dtype and a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())


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


@given(any_format, tables, st.sampled_from(DTYPES))
def test_dtype_shape_and_input_are_kept(fmt: Format, x: Tensor, dtype: torch.dtype) -> None:
    x = x.clamp(-60000, 60000).to(dtype)
    before = x.clone()
    x.requires_grad_()
    found = fmt.quantize(x)
    assert (found.dtype, found.shape, found.device) == (x.dtype, x.shape, x.device)
    assert not found.requires_grad
    assert torch.equal(x, before)
    assert found.isfinite().all()
    assert found.untyped_storage().data_ptr() != x.untyped_storage().data_ptr()


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


@given(any_format)
def test_empty_tensors_stay_empty(fmt: Format) -> None:
    for shape in [(0,), (0, 3), (3, 0), (2, 0, 4)]:
        if getattr(fmt, "axis", None) in (1, -2) and len(shape) == 1:
            continue
        x = torch.empty(shape, dtype=torch.float16)
        for result in (fmt.quantize(x), fmt.calibrated(x).quantize(x)):
            assert (result.shape, result.dtype) == (x.shape, x.dtype)
        assert fmt.clipped(x).shape == fmt.inside(x).shape == x.shape
        assert fmt.storage_bits(shape) >= 0


@given(elementwise, finite)
def test_elementwise_formats_look_at_each_element_alone(fmt: Format, x: Tensor) -> None:
    assert fmt.elementwise
    found = fmt.quantize(x)
    assert torch.equal(torch.stack([fmt.quantize(value) for value in x]), found)
    assert fmt.calibrated(x) == fmt
    assert fmt.storage_bits(x.shape) >= math.ceil(x.numel() * fmt.bits)


@given(st.one_of(following, block_formats()))
def test_formats_that_look_at_their_neighbours_say_so(fmt: Format) -> None:
    assert not fmt.elementwise


@given(following, tables)
def test_calibrated_formats_do_to_that_data_what_they_did(fmt: Format, x: Tensor) -> None:
    fixed = fmt.calibrated(x)
    assert torch.equal(fixed.quantize(x), fmt.quantize(x))
    assert torch.equal(fixed.clipped(x), fmt.clipped(x))
    assert fixed.calibrated(x * 7) == fixed
    assert all(math.isfinite(bound) for bound in fixed.range)
    assert fixed.storage_bits(x.shape) == fmt.storage_bits(x.shape)
    assert from_config(json.loads(json.dumps(fixed.to_config()))) == fixed


@given(any_format)
def test_configs_read_back(fmt: Format) -> None:
    config = json.loads(json.dumps(fmt.to_config()))
    read = from_config(config)
    assert read == fmt
    assert hash(read) == hash(fmt)
    assert {key for key in config if key != "name"} <= set(vars(fmt))


@given(any_format)
def test_what_is_written_reads_back(fmt: Format) -> None:
    assert parse(repr(fmt)) == fmt
    assert repr(parse(repr(fmt))) == repr(fmt)


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
