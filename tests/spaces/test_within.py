"""Candidates within bounds, and the nearest to them, against a search through the whole space."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.spaces.space import Decision, Space
from widthwise.spaces.within import Within
from widthwise.strategies.seen import Seen

SPACE = Space((Decision("a", (1, 2, 3, 4)), Decision("b", ("x", "y", "z")), Decision("c", (0, 1, 5))))
EVERY = SPACE.at(range(SPACE.size))
HUGE = Space(tuple(Decision(f"width {i}", (2, 3, 4, 5, 6, 7, 8)) for i in range(15)))  # 5 * 10^12
SIZES = np.arange(1, 16) ** 2


def size(rows: np.ndarray) -> np.ndarray:
    return rows @ np.array([3.0, 1.0, 2.0])


def at_most(bound: float):
    return lambda rows: np.maximum(size(rows) - bound, 0.0)


def average(rows: np.ndarray) -> np.ndarray:
    """The average width of tensors of very different sizes."""
    return (rows + 2) @ SIZES / SIZES.sum()


def within(space: Space, excess, listed: bool = True) -> Within:
    limit = {} if listed else {"most_listed": 0}
    return Within(space, excess, bounds="size <= 3", **limit)


@given(st.integers(-1, 18))
def test_the_listed_are_all_that_are_within(bound):
    made = within(SPACE, at_most(bound))
    expected = np.flatnonzero(size(EVERY) <= bound)
    assert made.listed.tolist() == expected.tolist()
    assert made(EVERY).tolist() == [row in expected for row in range(SPACE.size)]
    assert (made.nothing is None) == bool(len(expected))


def test_a_space_with_nothing_within_bounds_says_so_for_certain_or_that_none_was_found():
    small = within(SPACE, at_most(-1))
    assert small.nothing == "all 36 candidates are out of bounds by their costs alone (size <= 3)"
    huge = within(HUGE, lambda rows: np.maximum(average(rows) - 1.9, 0))
    assert huge.nothing == "no candidate within the bounds by its costs was found (size <= 3)"


@pytest.mark.parametrize("listed", [True, False])
@given(bound=st.integers(-4, 10))
def test_the_closest_are_those_least_out_of_bounds(listed, bound):
    made = within(SPACE, at_most(bound), listed)
    closest = made.closest(5)
    amounts = at_most(bound)(closest)
    assert (np.diff(amounts) >= 0).all()
    assert amounts[0] == at_most(bound)(EVERY).min()
    if listed:
        assert amounts.tolist() == sorted(at_most(bound)(EVERY))[:5]


@pytest.mark.parametrize("bound", [2.0, 2.01, 3.0, 5.0])
def test_in_a_huge_space_a_candidate_within_a_tight_bound_is_found(bound):
    made = within(HUGE, lambda rows: np.maximum(average(rows) - bound, 0))
    assert made.nothing is None
    assert average(made.closest(1))[0] <= bound
    rng = np.random.default_rng(0)
    for start in HUGE.sample(10, rng):
        assert average(made.repaired(start, rng)[None])[0] <= bound


def test_a_narrow_window_between_two_bounds_is_found():
    made = within(HUGE, lambda rows: np.abs(rows @ SIZES - 3000.0))
    assert made.nothing is None
    assert (made.closest(1) @ SIZES).tolist() == [3000]


def test_what_is_within_bounds_already_is_not_changed():
    made = within(SPACE, at_most(5))
    for row in EVERY[made(EVERY)]:
        assert (made.repaired(row, np.random.default_rng(0)) == row).all()


@given(st.sets(st.integers(0, 35), max_size=36), st.integers(0, 35), st.integers(0, 12), st.integers(0, 5))
def test_the_nearest_unseen_is_the_fewest_moves_away_of_those_within(positions, start, bound, seed):
    seen = Seen(SPACE)
    for position in sorted(positions)[::2]:  # some before and some after it is told of bounds
        seen.take(position)
    seen.keep_within(within(SPACE, at_most(bound)))
    for position in sorted(positions)[1::2]:
        seen.take(position)
    free = [p for p in range(36) if p not in positions and size(EVERY)[p] <= bound]
    assert seen.left == len(free)
    if not free:
        assert "within the bounds proposed (size <= 3)" in seen.exhausted
        return
    assert seen.exhausted is None
    found = np.array(seen.nearest_unseen(EVERY[start].tolist(), np.random.default_rng(seed)))
    assert seen.key(found.tolist()) in free
    assert (found != EVERY[start]).sum() == (EVERY[free] != EVERY[start]).sum(axis=1).min()


def test_in_a_large_space_unseen_ones_within_bounds_are_found_to_the_last():
    made = within(SPACE, at_most(4), listed=False)
    count = int(made(EVERY).sum())
    seen, rng = Seen(SPACE), np.random.default_rng(0)
    seen.keep_within(made)
    found = []
    while seen.left and (candidate := seen.nearest_unseen([3, 2, 2], rng)) is not None:
        found.append(tuple(candidate))
        seen.take(seen.key(candidate))
    assert len(set(found)) == len(found) == count
    assert made(np.array(found)).all()
    assert seen.exhausted == "no further candidate within the bounds was found (size <= 3)"
