"""Integers are what torch's fake quantisation and QONNX's Quant operator compute."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from helpers.formats.oracles import assert_same
from widthwise.formats import Integer, ScaledInteger


def samples(seed: int, *, scale: float = 1.0) -> Tensor:
    """Values around the codes 0 to 300 of this scale, exact ties among them."""
    generator = torch.Generator().manual_seed(seed)
    spread = torch.randn(3, 700, generator=generator) * 100
    ties = torch.arange(-300, 300) + 0.5
    return torch.cat([spread, ties.repeat(3, 1)], 1).contiguous() * scale


def is_tie(x: Tensor, scale: Tensor | float) -> Tensor:
    """Whether x / scale is so near to the middle between two codes that its last bit decides."""
    quotient = x.double() / torch.as_tensor(scale, dtype=torch.float64)
    return ((quotient - quotient.floor()) - 0.5).abs() < 1e-4


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 8, 12, 16, 20])
@pytest.mark.parametrize("frac_width", [-4, 0, 3, 8, 19])
def test_fixed_point_equals_torch_per_tensor(width: int, frac_width: int, signed: bool) -> None:
    low, high = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)
    x = samples(width, scale=2.0**-frac_width)
    expected = torch.fake_quantize_per_tensor_affine(x, 2.0**-frac_width, 0, low, high)
    found = Integer(width, frac_width, signed=signed).quantize(x)
    assert_same(found, expected, x)
    assert torch.equal(found.signbit(), expected.signbit())  # one zero, without a sign


@given(st.integers(2, 16), st.integers(-12, 12), st.booleans(), st.integers(0, 1000))
def test_affine_integers_with_scales_of_powers_of_two_equal_torch_per_tensor(
    width: int, exponent: int, signed: bool, seed: int
) -> None:
    codes = ScaledInteger(width, signed=signed, symmetric=False).codes
    zero = seed % (codes[1] - codes[0] + 1) + codes[0]
    fmt = ScaledInteger(width, signed=signed, symmetric=False, scale=2.0**exponent, zero_point=zero)
    x = samples(seed, scale=2.0**exponent)
    assert_same(fmt.quantize(x), torch.fake_quantize_per_tensor_affine(x, 2.0**exponent, zero, *codes), x)


@given(st.integers(2, 10), st.floats(1e-3, 10), st.booleans(), st.integers(0, 1000))
def test_affine_integers_equal_torch_per_tensor_but_for_ties(
    width: int, scale: float, signed: bool, seed: int
) -> None:
    """torch multiplies by 1 / scale in float32, where ONNX and we divide: at a tie codes may differ."""
    scale = float(np.float32(scale))
    codes = ScaledInteger(width, signed=signed, symmetric=False).codes
    zero = seed % (codes[1] - codes[0] + 1) + codes[0]
    x = samples(seed, scale=scale)
    found = ScaledInteger(width, signed=signed, symmetric=False, scale=scale, zero_point=zero).quantize(x)
    expected = torch.fake_quantize_per_tensor_affine(x, scale, zero, *codes)
    tie = is_tie(x, scale)
    assert_same(found[~tie], expected[~tie], x[~tie])
    assert ((found - expected).abs() <= scale * 1.0001).all()


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_scales_of_channels_equal_torch_per_channel(axis: int) -> None:
    x = torch.randn(4, 3, 50, generator=torch.Generator().manual_seed(1)) * 20
    channels = x.shape[axis]
    scales = 2.0 ** torch.arange(-3, channels - 3).float()
    zeros = torch.arange(channels) - 2
    fmt = ScaledInteger(
        8,
        symmetric=False,
        per="channel",
        axis=axis,
        scale=tuple(scales.tolist()),
        zero_point=tuple(zeros.tolist()),
    )
    expected = torch.fake_quantize_per_channel_affine(x, scales, zeros.int(), axis % 3, -128, 127)
    assert_same(fmt.quantize(x), expected, x)


@given(st.integers(2, 10), st.integers(0, 1000))
def test_scales_that_follow_the_data_equal_torch_with_the_same_scales(width: int, seed: int) -> None:
    x = torch.randn(5, 40, generator=torch.Generator().manual_seed(seed))
    for per in ("tensor", "channel"):
        fmt = ScaledInteger(width, per=per)
        scales = (x.abs().amax() if per == "tensor" else x.abs().amax(1)) / fmt.codes[1]
        calibrated = fmt.calibrated(x)
        assert torch.equal(torch.tensor(calibrated.scale), scales.reshape(-1))
        assert torch.equal(calibrated.quantize(x), fmt.quantize(x))
        wide = scales.reshape(-1, 1) if per == "channel" else scales
        tie = is_tie(x, wide)
        expected = torch.fake_quantize_per_channel_affine(
            x, scales.expand(5).contiguous(), torch.zeros(5, dtype=torch.int32), 0, *fmt.codes
        )
        assert_same(fmt.quantize(x)[~tie], expected[~tie])


def test_an_affine_scale_spans_the_data_and_zero() -> None:
    x = torch.tensor([1.0, 2.0, 6.1])
    fixed = ScaledInteger(8, symmetric=False).calibrated(x)
    assert fixed == ScaledInteger(
        8, symmetric=False, scale=float(np.float32(6.1) / np.float32(255)), zero_point=-128
    )
    assert fixed.quantize(torch.zeros(1)).item() == 0.0
    both = ScaledInteger(8, symmetric=False, signed=False).calibrated(torch.tensor([-1.0, 3.0]))
    assert both.zero_point == (64,)  # round(1 / (4 / 255)) = round(63.75)


class TestQonnx:
    """QONNX Quant rounds x / scale + zero point, where ONNX and we add a whole zero point after rounding."""

    # QONNX's narrow unsigned codes lose the greatest, our symmetric unsigned ones keep it: these are left out
    @pytest.mark.parametrize(("signed", "narrow"), [(True, True), (True, False), (False, False)])
    @pytest.mark.parametrize("width", [2, 3, 4, 8, 11])
    def test_integers_equal_its_quant(self, width: int, signed: bool, narrow: bool) -> None:
        quant = pytest.importorskip("qonnx.custom_op.general.quant").quant
        for scale in (0.25, 0.3, 3.0):
            x = samples(width, scale=scale)
            fmt = ScaledInteger(width, signed=signed, symmetric=narrow, scale=scale)
            found = fmt.quantize(x)
            expected = quant(
                x.numpy(), np.float32(scale), np.float32(0), np.float32(width), signed, narrow, "ROUND"
            )
            assert_same(found, expected, x)
            if scale == 0.25 and not narrow:
                assert_same(Integer(width, 2, signed=signed).quantize(x), expected, x)

    @pytest.mark.parametrize("zero", [-4, 3])
    def test_zero_points_equal_its_quant_but_for_ties_with_odd_ones(self, zero: int) -> None:
        quant = pytest.importorskip("qonnx.custom_op.general.quant").quant
        x = samples(0, scale=0.25)
        found = ScaledInteger(8, symmetric=False, scale=0.25, zero_point=zero).quantize(x)
        expected = quant(x.numpy(), np.float32(0.25), np.float32(zero), np.float32(8), True, False, "ROUND")
        kept = ~is_tie(x, 0.25) if zero % 2 else torch.ones_like(x, dtype=torch.bool)
        assert_same(found[kept], expected[kept.numpy()], x[kept])
