"""Random candidates: without repeats and uniform, in spaces small, nearly used up and huge."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from widthwise.spaces.space import Decision, Space
from widthwise.strategies import Setting, strategy
from widthwise.strategies.random import Random
from widthwise.strategies.shuffle import _Choices, shuffled

OBJECTIVES = {"accuracy": "maximize"}


def space_of(*counts):
    return Space(tuple(Decision(f"d{i}", tuple(range(count))) for i, count in enumerate(counts)))


@pytest.mark.parametrize("permuted", [2**20, 0], ids=["shuffled as a list", "shuffled by position"])
def test_a_space_is_used_up_without_repeats(permuted):
    space = space_of(20, 20, 15)
    made = Random(Setting(space, OBJECTIVES), listed=permuted)
    positions = []
    while len(candidates := made.ask(777)):
        positions += space.positions(candidates)
    assert sorted(positions) == list(range(6000))
    assert made.finished == "all 6,000 candidates proposed"


@pytest.mark.parametrize("permuted", [2**20, 0])
def test_how_many_are_asked_for_does_not_change_what_comes(permuted):
    space = space_of(20, 20, 15)
    one, other = (Random(Setting(space, OBJECTIVES, seed=5), listed=permuted) for _ in range(2))
    singly = np.concatenate([one.ask(1) for _ in range(2000)])
    assert (singly == other.ask(2000)).all()


@pytest.mark.parametrize("counts", [(6, 5), (6,) * 40])
def test_choices_are_uniform(counts):
    space = space_of(*counts)
    first = np.concatenate(
        [strategy("random", space, objectives=OBJECTIVES, seed=seed).ask(1) for seed in range(200)]
    )
    for column in (0, len(counts) - 1):
        assert chisquare(np.bincount(first[:, column], minlength=counts[column])).pvalue > 0.001


def test_ten_to_the_thirty_candidates():
    space = space_of(*[10] * 30)
    made = strategy("random", space, objectives=OBJECTIVES)
    assert len(set(space.positions(made.ask(5000)))) == 5000
    assert made.finished is None


@pytest.mark.parametrize("counts", [(2, 3, 4, 5, 6), (40, 2, 2, 3)])
def test_a_shuffle_by_choices_has_each_candidate_once(counts):
    space = space_of(*counts)
    rows = _Choices(space, np.random.default_rng(0))(np.arange(space.size))
    assert sorted(space.positions(rows)) == list(range(space.size))


@pytest.mark.parametrize("counts", [(9,) * 8, (3,) * 60], ids=["by position", "by choices"])
def test_neighbours_of_an_order_are_independent(counts):
    """Of each two that follow one another, and of each two decisions, all pairs of choices are as likely."""
    space, count = space_of(*counts), counts[0]
    rows = shuffled(space, 3, listed=0)(np.arange(20_000))
    for a, b in ((rows[:-1, 0], rows[1:, 0]), (rows[:-1, -1], rows[1:, 0]), (rows[:, 0], rows[:, -1])):
        assert chisquare(np.bincount(a * count + b, minlength=count**2)).pvalue > 0.0001
