"""What becomes of NaN, infinities, zeros of both signs, subnormals and the ends of each dtype."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from torch import Tensor

from helpers.formats.strategies import block_formats, following, tables
from widthwise import formats
from widthwise.formats import Format, from_config
from widthwise.formats.blocks import BlockFormat

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["bf16", "fp16", "tf32", "e5m2", "e4m3"])
def test_overflow_gives_infinity_or_nan_where_asked_for(kind: str, dtype: torch.dtype) -> None:
    x = torch.tensor([math.inf, -math.inf], dtype=dtype)
    found = formats.NamedFloat(kind, saturating=False).quantize(x)
    assert found.isnan().all() if kind == "e4m3" else torch.equal(found, x)


@given(block_formats(), tables)
def test_nan_spoils_its_own_block_and_no_other(fmt: BlockFormat, x: Tensor) -> None:
    spoilt = x.clone()
    spoilt[0, 0] = math.nan
    found = fmt.quantize(spoilt)
    alone = fmt.tiling(x.shape)
    block = (
        alone.join(
            alone.split(spoilt).isnan().float().amax(alone.within, keepdim=True).expand(alone.split(x).shape)
        )
        if alone.within
        else spoilt.isnan().float()
    )
    assert torch.equal(found.isnan(), block > 0)
    assert torch.equal(found[block == 0], fmt.quantize(x)[block == 0])


@given(following, tables)
def test_infinities_leave_finite_results(fmt: Format, x: Tensor) -> None:
    endless = x.clone()
    endless[0, 0], endless[-1, -1] = math.inf, -math.inf
    for dtype in DTYPES:
        found = fmt.quantize(endless.to(dtype))
        assert not found.isnan().any()
        assert found.isfinite().all()


def test_zeros_keep_their_sign_where_the_format_has_two() -> None:
    zeros = torch.tensor([0.0, -0.0])
    for name in ("e4m3", "fp16", "bf16", "fp4", "mxfp8", "mxfp4", "mxint8", "block_fp", "block_minifloat"):
        fmt = from_config({"name": name})
        assert fmt is not None
        assert fmt.quantize(zeros).signbit().tolist() == [False, True], name
    for fmt in (formats.MinifloatIEEE(8, 4), formats.MinifloatDenorm(8, 4)):
        assert fmt.quantize(zeros).signbit().tolist() == [False, True]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "fmt",
    [
        formats.Integer(8),
        formats.Integer(24, 4),
        formats.Integer(32),
        formats.Integer(8, signed=False),
        formats.Ternary(threshold=1),
    ],
    ids=repr,
)
def test_fixed_point_and_ternary_have_one_zero(fmt: Format, dtype: torch.dtype) -> None:
    x = torch.tensor([0.0, -0.0, -(2.0**-24)], dtype=dtype)
    assert not fmt.quantize(x).signbit().any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_becomes_the_least_power_that_format_and_dtype_have(dtype: torch.dtype) -> None:
    info = torch.finfo(dtype)
    least = info.smallest_normal * info.eps
    zeros = torch.tensor([0.0, -0.0], dtype=dtype)
    for fmt in (formats.Log(8), formats.Log(4), formats.Log(8, exponent_bias=140)):
        assert fmt.quantize(zeros).tolist() == [max(2.0 ** fmt.exponents[0], least)] * 2
    assert formats.Log(8, zero=True).quantize(zeros).tolist() == [0.0, 0.0]
    assert (formats.BlockLog(width=8).quantize(zeros) > 0).all()
    assert formats.BlockLog(width=8, zero=True).quantize(zeros).tolist() == [0.0, 0.0]


def test_binary_takes_zero_for_positive_or_for_off() -> None:
    zeros = torch.tensor([0.0, -0.0, -1e-30, 1e-30])
    assert formats.Binary().quantize(zeros).tolist() == [1, 1, -1, 1]
    assert formats.Binary(bipolar=False).quantize(zeros).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "fmt",
    [
        formats.MXInt(width=16, exponent_width=2, block_size=2),
        formats.BlockFP(width=24, exponent_width=3, block_size=2),
        formats.BlockMinifloat(width=20, exponent_width=2, exponent_bias_width=1, block_size=2),
        formats.Integer(16, 14),
        formats.MinifloatIEEE(20, 3),
        formats.MXFloat(width=8),
    ],
    ids=repr,
)
def test_saturation_ends_at_the_greatest_value_that_format_and_dtype_share(
    fmt: Format, dtype: torch.dtype
) -> None:
    found = fmt.quantize(torch.tensor([60000.0, -60000.0], dtype=dtype))
    assert fmt.quantize(found.double()).tolist() == found.tolist()  # a value of the format
    assert found[0] == -found[1] or isinstance(fmt, formats.Integer)
    above = torch.nextafter(found[0], torch.tensor(math.inf, dtype=dtype)).double()
    assert fmt.quantize(torch.tensor([60000.0, above.item()], dtype=torch.float64))[1] <= above
    assert found[0] >= 0.95 * min(fmt.range[1], 60000)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("symmetric", [True, False])
def test_scales_reach_the_ends_of_each_dtype(symmetric: bool, dtype: torch.dtype) -> None:
    top = torch.finfo(dtype).max
    for low in (-top, -top / 600, 0.0, top / 2):
        x = torch.tensor([low, top], dtype=dtype)
        found = formats.ScaledInteger(8, symmetric=symmetric).quantize(x)
        assert found.isfinite().all()
        assert (found.double() - x.double()).abs().max() <= top / 120


def test_subnormals_are_not_flushed() -> None:
    tiny = torch.tensor([2.0**-149, 3 * 2.0**-149, -(2.0**-140)])
    assert torch.equal(formats.BlockFP(width=12, block_size=-1, exponent_bias=255).quantize(tiny), tiny)
    assert torch.equal(formats.BlockMinifloat(width=12, block_size=-1).quantize(tiny), tiny)
    assert torch.equal(
        formats.NamedFloat("bf16").quantize(tiny.double()), torch.zeros(3, dtype=torch.float64) * tiny.sign()
    )
    assert torch.equal(
        formats.NamedFloat("bf16").quantize(torch.tensor([2.0**-133])), torch.tensor([2.0**-133])
    )


@pytest.mark.parametrize("signed", [True, False])
def test_errors_too_great_to_square_leave_the_coarsest_step(signed: bool) -> None:
    x = torch.tensor([torch.finfo(torch.float64).max, 1e300], dtype=torch.float64)
    fmt = formats.Integer(8, "auto-mse", signed=signed)
    assert fmt.calibrated(x) == formats.Integer(8, "auto", signed=signed).calibrated(x)


def test_nothing_is_clipped_of_nothing() -> None:
    for fmt in (formats.Binary(scaling_factor=True), formats.Ternary(scaling_factor=True)):
        assert fmt.clipped(torch.empty(0, 3)).shape == (0, 3)
