"""Fixed point with widths by part: each part is the fixed point of its own width."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from widthwise import formats
from widthwise.core.errors import UserError
from widthwise.formats import Integer, IntegerEach
from widthwise.formats.hull import hull_of

PARTS = st.lists(st.tuples(st.integers(0, 12), st.integers(-4, 8)), min_size=1, max_size=5)
DTYPES = st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16])


def each(parts: list[tuple[int, int]], *, signed: bool = True) -> IntegerEach:
    widths, fractions = zip(*parts, strict=True)
    return IntegerEach(widths, fractions, (len(parts),), signed)


@given(PARTS, st.booleans(), DTYPES, st.integers(0, 2**32 - 1))
def test_each_part_is_the_fixed_point_of_its_width_and_no_bits_are_zero(parts, signed, dtype, seed):
    fmt = each(parts, signed=signed)
    x = (torch.randn(40, len(parts), generator=torch.Generator().manual_seed(seed)) * 20).to(dtype)
    x[0], x[1], x[2] = torch.inf, -torch.inf, torch.nan
    found, clipped = fmt.quantize(x), fmt.clipped(x)
    for column, (width, fraction) in enumerate(parts):
        own = x[:, column]
        if not width:
            assert (found[:, column] == 0).logical_or(own.isnan()).all()
            continue
        alone = Integer(width, fraction, signed)
        assert torch.equal(found[:, column].nan_to_num(99), alone.quantize(own).nan_to_num(99))
        assert torch.equal(clipped[:, column], alone.clipped(own))


@given(PARTS, st.booleans())
def test_the_hull_is_the_narrowest_fixed_point_that_holds_all_parts(parts, signed):
    fmt = each(parts, signed=signed)
    hull = hull_of(fmt)
    low, high = fmt.range
    ends = torch.tensor([low, high], dtype=torch.float64)
    assert torch.equal(hull.quantize(ends), ends)
    live = [(width, fraction) for width, fraction in parts if width]
    if live:
        finest = max(fraction for _, fraction in live)
        assert hull.fraction == finest
        assert hull.width == max(width - fraction for width, fraction in live) + finest


def test_bits_are_counted_part_by_part_and_it_is_read_back_from_a_config():
    fmt = IntegerEach([3, 0, 5, 8], [1, 0, 2, 4], [4, 1])
    assert fmt.bits == 4.0
    assert fmt.storage_bits((4, 10)) == 160
    assert formats.from_config(fmt.to_config()) == fmt
    assert formats.parse("fixed_each<4,2,unsigned>") == IntegerEach(4, 2, signed=False)
    assert np.array_equal(fmt.spread((2, 4, 3))[0][1], [[3] * 3, [0] * 3, [5] * 3, [8] * 3])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: IntegerEach([4, 5, 6], 2, [2]), "widths has 3 numbers, and there are 2 parts of shape [2]"),
        (lambda: IntegerEach([4, 25], 2, [2]), "widths = 25 is no whole number from 0 to 24"),
        (lambda: IntegerEach([], 2), "widths = [] is empty"),
        (lambda: IntegerEach([20, 20], [0, 20], [2]), "take 40 bits, at most 32 may be"),
        (lambda: IntegerEach([4, 5], 2, [2]).quantize(torch.zeros(3, 3)), "do not fit a tensor of [3, 3]"),
    ],
)
def test_what_is_no_such_format_is_said_in_one_line(make, said):
    with pytest.raises(UserError) as caught:
        make()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
