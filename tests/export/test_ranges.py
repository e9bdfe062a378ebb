"""Ranges of integers: whatever is computed lies within them, and they are no wider than they must be."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from widthwise.export.integers.computing import computed
from widthwise.export.integers.ranges import in_whole_bits, range_after
from widthwise.export.integers.steps import (
    Convolution,
    Linear,
    MaxPool,
    Move,
    Relu,
    Requantise,
    Scale,
    Step,
    Value,
    Window,
)
from widthwise.formats import Integer

SHAPE = (2, 4, 4)
WINDOW = Window((3, 3), (1, 1), (1, 1), (1, 1))
CODES = st.integers(-20, 20)


def value(fraction: int = 0) -> Value:
    return Value("v", fraction, -(2**20), 2**20)


def drawn(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-5, 6, shape)


def steps(rng: np.random.Generator) -> list[tuple[Step, tuple[int, ...]]]:
    """One of each kind, with the shape of what it gives."""
    x = value()
    weight, bias = drawn(rng, 2, 1, 3, 3), drawn(rng, 2)
    return [
        (Linear(value(), x, drawn(rng, 3, 4), drawn(rng, 3), 1), (2, 4, 3)),
        (Convolution(value(), x, weight, bias, 0, WINDOW, 2), SHAPE),
        (Scale(value(), x, drawn(rng, 2), drawn(rng, 2), 2), SHAPE),
        (Relu(value(), x), SHAPE),
        (MaxPool(value(), x, WINDOW), SHAPE),
        (Requantise(value(-2), x, Integer(3, -2)), SHAPE),
        (Move(value(), x), (32,)),
    ]


@given(seed=st.integers(0, 10**6))
def test_all_that_is_computed_lies_within(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ends = rng.integers(-20, 21, (2, *SHAPE))
    low, high = ends.min(axis=0), ends.max(axis=0)
    x = rng.integers(low, high, (50, *SHAPE), endpoint=True)
    for step, shape in steps(rng):
        least, most = range_after(step, low, high, shape)
        found = computed(step, x, shape)
        assert least.shape == most.shape == shape
        assert ((least <= found) & (found <= most)).all(), step


@given(seed=st.integers(0, 10**6))
def test_sums_reach_both_ends(seed: int) -> None:
    rng = np.random.default_rng(seed)
    step = Linear(value(), value(), drawn(rng, 1, 4), drawn(rng, 1), 0)
    ends = rng.integers(-9, 10, (2, 4))
    low, high = ends.min(axis=0), ends.max(axis=0)
    every = np.stack([low, high])[np.indices((2, 2, 2, 2)).reshape(4, -1).T, np.arange(4)]
    found = computed(step, every, (1,))
    least, most = range_after(step, low, high, (1,))
    assert (found.min(), found.max()) == (least[0], most[0])


@given(low=CODES, high=CODES)
def test_whole_bits_hold_the_range_and_no_bit_more(low: int, high: int) -> None:
    low, high = min(low, high), max(low, high)
    below, above = (int(end[0]) for end in in_whole_bits(np.array([low]), np.array([high])))
    assert below <= min(low, 0)
    assert above >= max(high, 0)
    assert below == (0 if low >= 0 else -(2 ** (-low - 1).bit_length()))
    assert above == (0 if high <= 0 else 2 ** high.bit_length() - 1)
