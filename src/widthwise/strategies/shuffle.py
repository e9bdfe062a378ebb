"""The candidates of a space in a random order, of which any part can be had without those before it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from widthwise.core.arrays import IntArray
from widthwise.spaces.space import Space

LISTED = 2**20  # spaces up to this size are shuffled as a list
HALVED = 2**62  # spaces up to this size are shuffled by their positions, larger ones by their choices
ROUNDS = 8

Words = NDArray[np.uint64]
Order = Callable[[IntArray], IntArray]


def shuffled(space: Space, seed: int, *, listed: int = LISTED) -> Order:
    """Numbers [k] below the size of the space to candidates [k, D]: each number another one.

    listed: up to this size all permutations are equally likely; in larger spaces they are those of a keyed
    Feistel network, whose state is the seed alone (Black & Rogaway 2002, "Ciphers with arbitrary finite
    domains").
    """
    rng = np.random.default_rng([seed, 0])
    if space.size <= listed:
        order = rng.permutation(space.size)
        return lambda numbers: space.at(order[numbers])
    if space.size <= HALVED:
        keys = rng.integers(0, 2**64, size=ROUNDS, dtype=np.uint64)
        return lambda numbers: space.at(_walked(numbers.astype(np.uint64), space.size, keys))
    return _Choices(space, rng)


def _mixed(words: Words) -> Words:
    """Each word hashed (the finaliser of splitmix64, Steele et al. 2014)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _walked(numbers: Words, size: int, keys: Words) -> IntArray:
    """Positions [k]: those that fall beyond the size are permuted again until they don't."""
    found = _swapped(numbers, size, keys)
    while len(beyond := np.flatnonzero(found >= size)):
        found[beyond] = _swapped(found[beyond], size, keys)
    return found.astype(np.int64)


def _swapped(numbers: Words, size: int, keys: Words) -> Words:
    """A permutation of the least square that holds `size`; numbers are a pair of its sides."""
    side = np.uint64(math.isqrt(size - 1) + 1)
    left, right = numbers // side, numbers % side
    for key in keys:
        left, right = right, (left + _mixed(right ^ key) % side) % side
    return left * side + right


class _Choices:
    """A permutation of candidates: the choices of half the decisions are moved by a hash of the others."""

    def __init__(self, space: Space, rng: np.random.Generator) -> None:
        self._space = space
        self._counts = space.cardinalities.astype(np.uint64)
        order = np.argsort(-space.cardinalities, kind="stable")  # large and small ones in both halves
        self._halves = (order[0::2], order[1::2])
        self._keys = rng.integers(0, 2**64, size=(ROUNDS, len(order)), dtype=np.uint64)

    def __call__(self, numbers: IntArray) -> IntArray:
        rows = self._space.at(numbers.tolist()).astype(np.uint64)
        with np.errstate(over="ignore"):
            for turn, keys in enumerate(self._keys):
                moved, fixed = self._halves[turn % 2], self._halves[1 - turn % 2]
                told = _mixed((_mixed(rows[:, fixed] + keys[fixed])).sum(axis=1, dtype=np.uint64))
                shifts = _mixed(told[:, None] ^ keys[moved]) % self._counts[moved]
                rows[:, moved] = (rows[:, moved] + shifts) % self._counts[moved]
        return rows.astype(np.int64)
