"""The nearest candidate that is not taken, against a search through the whole space."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from widthwise.spaces.space import Decision, Space
from widthwise.strategies.seen import Seen

SPACE = Space((Decision("a", (1, 2, 3, 4)), Decision("b", ("x", "y", "z")), Decision("c", (0, 1))))


def taken(space, positions, **limit):
    seen = Seen(space, **limit)
    for position in positions:
        seen.take(position)
    return seen


@given(st.sets(st.integers(0, 23), max_size=23), st.integers(0, 23), st.integers(0, 5))
def test_the_nearest_is_the_fewest_moves_away(positions, start, seed):
    seen = taken(SPACE, positions)
    candidate = SPACE.at([start])[0]
    found = np.array(seen.nearest_unseen(candidate.tolist(), np.random.default_rng(seed)))
    assert seen.key(found.tolist()) not in positions
    free = SPACE.at(sorted(set(range(24)) - positions))
    assert (found != candidate).sum() == (free != candidate).sum(axis=1).min()


@given(st.integers(0, 23))
def test_keys_are_those_of_the_space(position):
    assert Seen(SPACE).key(SPACE.at([position])[0].tolist()) == position


def test_the_smallest_step_of_an_ordered_decision_goes_first():
    space = Space((Decision("width", tuple(range(9))),))
    rng = np.random.default_rng(0)
    assert taken(space, [4]).nearest_unseen([4], rng) in ([3], [5])
    assert taken(space, [3, 4, 5, 6]).nearest_unseen([4], rng) == [2]


def test_ties_are_drawn_by_the_seed():
    found = {
        tuple(taken(SPACE, [0]).nearest_unseen([0, 0, 0], np.random.default_rng(seed))) for seed in range(30)
    }
    assert found == {(1, 0, 0), (0, 1, 0), (0, 2, 0), (0, 0, 1)}


def test_beyond_one_move_in_a_space_too_large_to_list():
    space = Space(tuple(Decision(f"d{i}", (1, 2, 3)) for i in range(30)))
    seen = Seen(space)
    centre = [0] * 30
    seen.take(seen.key(centre))
    for column in range(30):
        for choice in (1, 2):
            seen.take(seen.key([*centre[:column], choice, *centre[column + 1 :]]))
    found = seen.nearest_unseen(centre, np.random.default_rng(0))
    assert sum(choice != 0 for choice in found) == 2


def test_the_last_candidate_is_found_by_drawing():
    seen = taken(SPACE, set(range(24)) - {23}, few=0)
    assert seen.nearest_unseen([0, 0, 0], np.random.default_rng(0)) == [3, 2, 1]
