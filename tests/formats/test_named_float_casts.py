"""Named and small floats are what ml_dtypes and numpy cast to: every float16 pattern, random float32 bits."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import torch
from torch import Tensor

from helpers.formats.oracles import assert_same, every_float16, random_float32
from widthwise.formats import Format, MinifloatIEEE, NamedFloat

# our format, and the type of ml_dtypes or numpy whose casts are the same, overflow included
CASTS = [
    (NamedFloat("bf16", saturating=False), ml_dtypes.bfloat16),
    (NamedFloat("fp16", saturating=False), np.float16),
    (NamedFloat("e4m3", saturating=False), ml_dtypes.float8_e4m3fn),
    (NamedFloat("e5m2", saturating=False), ml_dtypes.float8_e5m2),
    (MinifloatIEEE(8, 4, infinities=True, saturating=False), ml_dtypes.float8_e4m3),
    (MinifloatIEEE(8, 3, infinities=True, saturating=False), ml_dtypes.float8_e3m4),
    (MinifloatIEEE(8, 5, infinities=True, saturating=False), ml_dtypes.float8_e5m2),
    (MinifloatIEEE(16, 5, infinities=True, saturating=False), np.float16),
    (MinifloatIEEE(16, 8, infinities=True, saturating=False), ml_dtypes.bfloat16),
]
# without infinities, and NaN in none of them or one for all: only what is in range compares with a cast
WITHIN = [
    (NamedFloat("e2m3"), ml_dtypes.float6_e2m3fn),
    (NamedFloat("e3m2"), ml_dtypes.float6_e3m2fn),
    (NamedFloat("e2m1"), ml_dtypes.float4_e2m1fn),
    (MinifloatIEEE(6, 2), ml_dtypes.float6_e2m3fn),
    (MinifloatIEEE(6, 3), ml_dtypes.float6_e3m2fn),
    (MinifloatIEEE(4, 2), ml_dtypes.float4_e2m1fn),
    (MinifloatIEEE(8, 4, exponent_bias=8), ml_dtypes.float8_e4m3fnuz),
    (MinifloatIEEE(8, 5, exponent_bias=16), ml_dtypes.float8_e5m2fnuz),
    (MinifloatIEEE(8, 4, exponent_bias=11), ml_dtypes.float8_e4m3b11fnuz),
]
NORMAL = torch.randn(50_000, generator=torch.Generator().manual_seed(0))
INPUTS = [every_float16(), random_float32(200_000), NORMAL]


def cast(x: Tensor, dtype: type) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        return x.numpy().astype(dtype).astype(np.float32)


@pytest.mark.parametrize(("fmt", "dtype"), CASTS, ids=repr)
def test_overflowing_floats_are_casts(fmt: Format, dtype: type) -> None:
    for x in INPUTS:
        found = fmt.quantize(x)
        assert_same(found, cast(x, dtype), x)
        assert torch.equal(found.signbit() | found.isnan(), x.signbit() | found.isnan())


@pytest.mark.parametrize("kind", ["bf16", "fp16", "e4m3", "e5m2"])
def test_saturating_floats_are_casts_of_what_is_cut_to_their_range(kind: str) -> None:
    fmt = NamedFloat(kind)
    dtype = {"bf16": ml_dtypes.bfloat16, "fp16": np.float16, "e4m3": ml_dtypes.float8_e4m3fn}.get(
        kind, ml_dtypes.float8_e5m2
    )
    assert fmt.range[1] == float((ml_dtypes.finfo if kind != "fp16" else np.finfo)(dtype).max)
    for x in INPUTS:
        assert_same(fmt.quantize(x), cast(x.clamp(*fmt.range), dtype), x)


@pytest.mark.parametrize(("fmt", "dtype"), WITHIN, ids=repr)
def test_floats_without_infinities_are_casts_of_what_is_cut_to_their_range(fmt: Format, dtype: type) -> None:
    assert fmt.range == (-float(ml_dtypes.finfo(dtype).max), float(ml_dtypes.finfo(dtype).max))
    for x in INPUTS:
        y = x[~x.isnan()]
        assert_same(fmt.quantize(y), cast(y.clamp(*fmt.range), dtype), y)
        assert fmt.quantize(x[x.isnan()]).isnan().all()


def test_bf16_and_fp16_are_what_torch_converts_to() -> None:
    for x in INPUTS:
        assert_same(NamedFloat("bf16", saturating=False).quantize(x), x.bfloat16().double(), x)
        assert_same(NamedFloat("fp16", saturating=False).quantize(x), x.half().double(), x)


def test_tf32_keeps_10_of_23_mantissa_bits() -> None:
    """Half to even on the bits of float32: add half of the last kept place, one less where it is even."""
    for x in INPUTS:
        bits = x.numpy().view(np.uint32).astype(np.uint64)
        odd = (bits >> 13) & 1
        rounded = ((bits + 0xFFF + odd) & ~np.uint64(0x1FFF)).astype(np.uint32).view(np.float32)
        assert_same(NamedFloat("tf32", saturating=False).quantize(x), np.where(x.isnan(), np.nan, rounded), x)
