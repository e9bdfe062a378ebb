"""Block formats against brute force: blocks' scales by definition, and for each element the nearest value."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from helpers.formats.oracles import (
    Floats,
    Values,
    assert_same,
    ieee,
    nearest_power,
    of_codes,
    powers,
    random_float32,
)
from widthwise.formats import BlockFP, BlockLog, BlockMinifloat, Format, MXFloat, MXInt, from_config
from widthwise.formats.blocks import BlockFormat


def blocks(seed: int = 0) -> Tensor:
    """Blocks of 8: random bits, one order of magnitude at every height, zeros, subnormals, powers of two."""
    generator = torch.Generator().manual_seed(seed)
    bits = random_float32(8 * 60, seed=seed).reshape(-1, 8)
    bits = bits[bits.isfinite().all(1)]
    heights = torch.arange(-148, 127, 3).float()[:, None]
    plain = torch.randn(len(heights), 8, generator=generator).clamp(-1.9, 1.9)
    whole = torch.randint(-8, 9, (40, 8), generator=generator).float()
    return torch.cat(
        [bits, plain * torch.exp2(heights), whole, torch.zeros(1, 8), torch.full((1, 8), 2.0**-149)]
    )


def exponent(magnitude: float) -> int:
    """Of the greatest power of two up to the magnitude."""
    return math.frexp(magnitude)[1] - 1


def assert_blocks(fmt: Format, expected: list[Floats], x: Tensor) -> None:
    for block, found, right in zip(x, fmt.quantize(x), expected, strict=True):
        assert_same(found, right, block)


@pytest.mark.parametrize("width", [2, 3, 4, 8, 12, 16])
@pytest.mark.parametrize(
    ("exponent_width", "bias"), [(8, None), (4, None), (3, 6), (1, None), (8, 200), (6, 0)]
)
def test_block_fp_shares_the_power_above_the_greatest_magnitude(
    width: int, exponent_width: int, bias: int | None
) -> None:
    fmt = BlockFP(width=width, exponent_width=exponent_width, exponent_bias=bias, block_size=8)
    shift = 2 ** (exponent_width - 1) - 1 if bias is None else bias
    low, high = -shift, 2**exponent_width - 1 - shift
    codes = np.arange(-(2 ** (width - 1)) + 1, 2 ** (width - 1))
    values = of_codes(np.ldexp(codes.astype(float), 1 - width), codes)
    x = blocks()
    expected = []
    for block in x.double().numpy():
        greatest = abs(block).max()
        shared = min(max(exponent(greatest) + 1, low), high) if greatest else low
        expected.append(values.nearest(block / 2.0**shared) * 2.0**shared)
    assert_blocks(fmt, expected, x)
    assert fmt.range[1] == values.value[-1] * 2.0**high


@pytest.mark.parametrize(
    ("width", "exponent_width", "bias_width"),
    [
        (8, 4, 8),
        (6, 2, 8),
        (5, 2, 4),
        (4, 1, 8),
        (4, 3, 3),
        (2, 1, 8),
        (8, 5, 1),
        (9, 6, 7),
        (12, 7, 8),
        (10, 8, 8),
    ],
)
def test_block_minifloats_share_the_bias_that_reaches_the_greatest_magnitude(
    width: int, exponent_width: int, bias_width: int
) -> None:
    fmt = BlockMinifloat(
        width=width, exponent_width=exponent_width, exponent_bias_width=bias_width, block_size=8
    )
    top = 2**exponent_width - 1
    x = blocks()
    expected = []
    for block in x.double().numpy():
        greatest = abs(block).max()
        bias = min(max(top - exponent(greatest), 0), 2**bias_width - 1) if greatest else 0
        right = ieee(width, exponent_width, bias).nearest(block)
        expected.append(np.clip(right, *within_float32(ieee(width, exponent_width, bias))))
    assert_blocks(fmt, expected, x)


def within_float32(values: Values) -> tuple[float, float]:
    kept = values.value[abs(values.value) <= np.finfo(np.float32).max]
    return kept[0], kept[-1]


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize(("width", "bias_width"), [(4, 8), (2, 8), (3, 3), (6, 8), (8, 8), (8, 4), (5, 1)])
def test_block_logs_share_the_bias_of_the_power_nearest_to_the_greatest_magnitude(
    width: int, bias_width: int, zero: bool
) -> None:
    fmt = BlockLog(width=width, exponent_bias_width=bias_width, zero=zero, block_size=8)
    top = 2 ** (width - 1) - 1
    x = blocks()
    expected = []
    for block in x.double().numpy():
        greatest = abs(block).max()
        nearest = exponent(greatest) + (greatest > 2.0 ** exponent(greatest) * math.sqrt(2))
        nearest = min(nearest, 127)  # float32 has no power above
        bias = min(max(top - nearest, 0), 2**bias_width - 1) if greatest else 2**bias_width - 1
        values = powers(width, bias, zero=zero)
        held = values[(values <= 2.0**127) & ((values >= 2.0**-149) | (values == 0))]
        if not (held > 0).any():  # a block of zeros whose powers are all too small for float32
            held = np.array([0.0, 2.0**-149]) if zero else np.array([2.0**-149])
        expected.append(nearest_power(block, held))
    assert_blocks(fmt, expected, x)


FORMATS = [
    BlockFP(width=6, block_size=4),
    BlockMinifloat(width=6, exponent_width=2, block_size=4),
    BlockLog(width=4, block_size=4),
    MXInt(width=8, block_size=4),
    MXFloat(width=4, block_size=4),
]
SHAPES = [(9,), (1,), (4,), (3, 10), (2, 5, 7), (2, 3, 4, 5)]
CUTS: list[dict[str, object]] = [
    {"block_size": 4},
    {"block_size": 4, "axis": 0},
    {"block_size": -1},
    {"block_size": 100},
    {"block_size": [2, 3]},
    {"block_size": [-1, 2]},
    {"block_size": [2, 2, 2]},
    {"block_size": [2, 2], "skip_first_dim": True},
    {"block_size": 3, "axis": 0, "skip_first_dim": True},
]


def cut(
    shape: tuple[int, ...], block_size: object, axis: int = -1, skip_first_dim: bool = False
) -> list[tuple[slice, ...]]:
    """The blocks of a tensor, by indices written out: the oracle for the tiling."""
    sizes = [1] * len(shape)
    if isinstance(block_size, int):
        sizes[axis] = block_size
    else:
        assert isinstance(block_size, list)
        for place, size in zip(reversed(range(len(shape))), reversed(block_size), strict=False):
            sizes[place] = size
    if skip_first_dim and len(shape) > 1:
        sizes[0] = 1
    sizes = [n if size == -1 else size for n, size in zip(shape, sizes, strict=True)]
    starts = itertools.product(*(range(0, n, size) for n, size in zip(shape, sizes, strict=True)))
    return [tuple(slice(s, s + size) for s, size in zip(start, sizes, strict=True)) for start in starts]


@pytest.mark.parametrize("fmt", FORMATS, ids=repr)
@pytest.mark.parametrize("cuts", CUTS, ids=str)
def test_each_block_is_quantised_as_if_it_were_alone(fmt: BlockFormat, cuts: dict[str, object]) -> None:
    config = {**fmt.to_config(), **cuts}
    cutting = from_config(config)
    assert cutting is not None
    whole = from_config({**fmt.to_config(), "block_size": -1})
    assert whole is not None
    for shape in SHAPES:
        x = torch.randn(shape, generator=torch.Generator().manual_seed(3)) * torch.arange(1, shape[-1] + 1)
        expected = torch.full(shape, torch.nan)
        pieces = cut(shape, **cuts)  # type: ignore[arg-type]
        for piece in pieces:
            block = x[piece]
            expected[piece] = whole.quantize(block.flatten()).reshape(block.shape)
        found = cutting.quantize(x)
        assert torch.equal(found, expected)
        assert found.is_contiguous()
        elements = math.prod(shape) * fmt.element_bits
        assert cutting.storage_bits(shape) == elements + len(pieces) * fmt.scale_bits
        assert not cutting.clipped(x).logical_and(cutting.quantize(x) == x).any()


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 12))
def test_bits_are_the_average_over_full_blocks_and_storage_counts_partial_ones(
    n: int, a: int, b: int
) -> None:
    fmt = MXInt(block_size=(a, b))
    assert fmt.bits == 8 + 8 / (a * b)
    assert fmt.storage_bits((a * n, b * n)) == pytest.approx(fmt.bits * a * n * b * n)
    partial = fmt.storage_bits((a * n + 1, b * n)) - fmt.storage_bits((a * n, b * n))
    assert partial == 8 * b * n + 8 * n


def test_a_whole_axis_counts_as_a_long_block() -> None:
    assert MXInt(block_size=-1).bits == 8.0
    assert MXInt(block_size=-1).storage_bits((3, 5)) == 15 * 8 + 3 * 8
