"""Spaces: enumeration, positions and samples of candidates."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.spaces.space import Decision, Space


def space(*sizes: int) -> Space:
    return Space(tuple(Decision(f"d{i}", tuple(range(size))) for i, size in enumerate(sizes)))


@given(st.lists(st.integers(1, 5), max_size=5), st.integers(1, 7))
def test_enumeration_is_the_product_of_the_choices_in_order(sizes: list[int], chunk: int):
    found = [tuple(row) for part in space(*sizes).enumerate(chunk=chunk) for row in part.tolist()]
    assert found == list(product(*(range(size) for size in sizes)))


@given(st.lists(st.integers(1, 2**20), min_size=1, max_size=8), st.data())
def test_positions_and_candidates_are_each_others_inverse(sizes: list[int], data: st.DataObject):
    made = space(*sizes[:3], *[min(size, 50) for size in sizes[3:]])
    wanted = data.draw(st.lists(st.integers(0, made.size - 1), min_size=1, max_size=5))
    assert made.positions(made.at(wanted)) == wanted


def test_spaces_beyond_64_bits_work():
    huge = space(*[10] * 30)
    assert huge.size == 10**30
    wanted = [0, 10**30 - 1, 123456789012345678901234567890]
    assert huge.positions(huge.at(wanted)) == wanted
    assert huge.at([10**30 - 1]).tolist() == [[9] * 30]


def test_samples_cover_the_choices_and_follow_the_generator():
    made = space(3, 4)
    first, again = (made.sample(500, np.random.default_rng(7)) for _ in range(2))
    assert (first == again).all()
    assert {tuple(row) for row in first.tolist()} == set(product(range(3), range(4)))


@pytest.mark.parametrize(
    ("choices", "ordered"),
    [
        ((2, 4, 8), True),
        ((2.0, 3), True),
        ((4, 2), False),
        (("a", "b"), False),
        ((True, False), False),
        (("NA", 4), False),
    ],
)
def test_numbers_in_ascending_order_are_ordered(choices: tuple, ordered: bool):
    assert Decision("d", choices).ordered is ordered


def test_chosen_names_the_values():
    made = Space((Decision("w", (2, 4)), Decision("f", ("a", "b"))))
    assert made.chosen([1, 0]) == {"w": 4, "f": "a"}


def test_variants_set_one_decision_to_each_choice():
    space = Space((Decision("a", (1, 2)), Decision("b", ("x", "y", "z"))))
    rows = space.variants(np.array([1, 0]))
    assert rows.tolist() == [[0, 0], [1, 0], [1, 0], [1, 1], [1, 2]]
    assert space.variants(np.array([1, 0]), np.array([4, 0])).tolist() == [[1, 2], [0, 0]]
    assert Space(()).variants(np.empty(0, dtype=np.int64)).shape == (0, 0)
