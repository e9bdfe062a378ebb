"""Microscaling formats against an independent decode from bits, after the OCP MX Specification 1.0."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.formats.oracles import Values, assert_same, ieee, integers, of_codes, random_float32
from widthwise.formats import Format, MXFloat, MXInt, from_config

CODES = integers(8, 6, signed=True)
MXINT8 = Values(CODES.value[1:], CODES.even[1:])  # -128 is left unused
ELEMENTS: dict[str, tuple[Values, int]] = {
    "mxint8": (MXINT8, 0),
    "mxfp8_e4m3": (ieee(8, 4, 7, specials=1), 8),
    "mxfp8_e5m2": (ieee(8, 5, 15, specials="all"), 15),
    "mxfp6_e2m3": (ieee(6, 2, 1), 2),
    "mxfp6_e3m2": (ieee(6, 3, 3), 4),
    "mxfp4_e2m1": (ieee(4, 2, 1), 2),
}


def e8m0(code: int) -> float:
    """Section 5.4.1: an unsigned exponent with bias 127; 0xFF is NaN."""
    return float("nan") if code == 0xFF else 2.0 ** (code - 127)


def scale_code(block: np.ndarray, emax: int) -> int:
    """Section 6.3: the greatest power of two up to the greatest magnitude, over 2^emax; from float32 bits."""
    if np.isnan(block).any():
        return 0xFF
    greatest = float(abs(block).max())
    if greatest == 0.0:
        return 0
    finite = np.float32(min(greatest, float(np.finfo(np.float32).max)))
    bits = int(finite.view(np.uint32))
    field, mantissa = bits >> 23, bits & 0x7FFFFF
    exponent = field - 127 if field else mantissa.bit_length() - 150
    return min(max(exponent - emax + 127, 0), 254)


def expected_block(block: np.ndarray, name: str) -> np.ndarray:
    values, emax = ELEMENTS[name]
    scale = e8m0(scale_code(block, emax))
    if np.isnan(scale):
        return np.full(block.shape, np.nan)
    return values.nearest(block / scale) * scale


def blocks(seed: int) -> torch.Tensor:
    """Blocks of 32 of every kind: random bits, one order of magnitude, extremes, zeros, NaN, infinities."""
    generator = torch.Generator().manual_seed(seed)
    bits = random_float32(32 * 60, seed=seed).reshape(-1, 32)
    plain = torch.randn(60, 32, generator=generator)
    scaled = plain * torch.exp2(torch.randint(-140, 120, (60, 1), generator=generator).float())
    special = plain[:6].clone()
    special[0], special[1, 3], special[2, 4], special[3, 5] = 0.0, torch.nan, torch.inf, -torch.inf
    special[4] = torch.finfo(torch.float32).max
    special[5] = 2.0**-149
    return torch.cat([bits, plain, scaled, special])


@pytest.mark.parametrize("name", ELEMENTS)
def test_blocks_are_the_nearest_elements_times_their_scale(name: str) -> None:
    fmt = from_config({"name": name})
    assert fmt is not None
    x = blocks(0)
    expected = np.stack([expected_block(block.double().numpy(), name) for block in x])
    assert_same(fmt.quantize(x), expected, x)
    finite = ~x.isinf().any(1)  # infinities count as the dtype's own greatest value
    assert_same(fmt.quantize(x[finite].double()), expected[finite.numpy()], x[finite])


@pytest.mark.parametrize("name", ELEMENTS)
def test_every_code_of_every_scale_is_kept(name: str) -> None:
    """A block that holds its element's greatest exponent has that scale's code and keeps each element."""
    fmt = from_config({"name": name, "block_size": -1})
    assert fmt is not None
    values, emax = ELEMENTS[name]
    for code in range(0xFF):
        scaled = values.value * e8m0(code)
        if abs(scaled).max() > np.finfo(np.float32).max:
            continue
        assert scale_code(scaled, emax) == code
        assert np.array_equal(fmt.quantize(torch.from_numpy(scaled).float()).double().numpy(), scaled)


def test_names_stand_for_the_specifications_formats() -> None:
    assert from_config({"name": "mxint8"}) == MXInt(width=8, exponent_width=8, block_size=32)
    for kind, width in {"e4m3": 8, "e5m2": 8, "e2m3": 6, "e3m2": 6, "e2m1": 4}.items():
        fmt = from_config({"name": f"mxfp{width}_{kind}"})
        assert isinstance(fmt, MXFloat)
        assert (fmt.element, fmt.width, fmt.block_size) == (kind, width, 32)
        assert fmt.bits == width + 8 / 32  # section 5.2: k elements and one scale


@given(st.integers(2, 16), st.integers(2, 8), st.integers(0, 1000))
def test_other_widths_of_integers_and_scales_are_as_mxint8(
    width: int, exponent_width: int, seed: int
) -> None:
    fmt: Format = MXInt(width=width, exponent_width=exponent_width, block_size=32)
    codes = np.arange(-(2 ** (width - 1)) + 1, 2 ** (width - 1))
    values = of_codes(np.ldexp(codes.astype(float), 2 - width), codes)
    limit = 2 ** (exponent_width - 1) - 1
    x = blocks(seed)[60:180:7]
    for block, found in zip(x.double().numpy(), fmt.quantize(x), strict=True):
        exponent = 0 if not block.any() else int(np.clip(np.floor(np.log2(abs(block).max())), -limit, limit))
        assert_same(found, values.nearest(block / 2.0**exponent) * 2.0**exponent, block)
