"""Successive halving: budgets, who survives, and that survivors are as if nobody had been stopped."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.core.errors import UserError
from widthwise.evaluators.halving import Halving, successive_halving, survivors
from widthwise.evaluators.rungs import errors_behind, warn_of_near
from widthwise.metrics.quality.sureness import Sureness


@given(full=st.integers(1, 1000), reduction=st.integers(2, 5), minimum=st.integers(1, 50))
def test_budgets_ascend_to_the_full_one(full: int, reduction: int, minimum: int):
    budgets = Halving(reduction, minimum).budgets(full)
    assert budgets[-1] == full
    assert all(low == high // reduction for low, high in pairwise(budgets))
    assert all(budget >= minimum for budget in budgets[:-1])
    assert len(budgets) == 1 or budgets[0] // reduction < minimum or budgets[0] == 1


def dominated_by(point: np.ndarray, table: np.ndarray) -> bool:
    return bool(((table >= point).all(axis=1) & (table > point).any(axis=1)).any())


@given(
    points=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25),
    keep=st.integers(1, 25),
)
def test_nobody_who_is_stopped_dominates_a_survivor(points, keep: int):
    values = np.array(points, dtype=float)
    chosen = survivors(values, keep)
    assert len(chosen) == min(keep, len(values))
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    stopped = np.delete(values, chosen, axis=0)
    assert not any(dominated_by(values[row], stopped) for row in chosen)


def test_of_one_front_those_with_room_go_on():
    values = np.array([[0.0, 10.0], [1.0, 9.0], [1.1, 8.9], [5.0, 5.0], [10.0, 0.0]])
    assert survivors(values, 3).tolist() == [0, 3, 4]


def test_failures_go_no_further():
    values = np.array([[1.0], [np.nan], [3.0]])
    assert survivors(values, 3).tolist() == [0, 2]


def test_each_rung_takes_the_survivors_with_more():
    truth = np.random.default_rng(0).permutation(27).astype(float)
    calls: list[tuple[int, int]] = []

    def evaluate(rows: np.ndarray, budget: int) -> np.ndarray:
        calls.append((len(rows), budget))
        return truth[rows, None] + (0.0 if budget == 9 else 0.1)

    result = successive_halving(27, evaluate, full=9, halving=Halving(3))
    assert calls == [(27, 1), (9, 3), (3, 9)]
    best = np.argsort(-truth)[:3]
    assert np.flatnonzero(~np.isnan(result.values[:, 0])).tolist() == sorted(best.tolist())
    assert np.array_equal(result.values[best, 0], truth[best])
    assert sorted(result.stopped.values()) == [1] * 18 + [3] * 6


def test_a_single_candidate_gets_the_full_budget_at_once():
    budgets: list[int] = []

    def evaluate(rows: np.ndarray, budget: int) -> np.ndarray:
        budgets.append(budget)
        return np.ones((len(rows), 2))

    assert successive_halving(1, evaluate, full=50).values.tolist() == [[1, 1]]
    assert budgets == [50]


def test_all_failures_end_it():
    result = successive_halving(4, lambda rows, budget: np.full((len(rows), 1), np.nan), full=9)
    assert np.isnan(result.values).all()
    assert result.stopped == {}


@pytest.mark.parametrize("options", [{"reduction": 1}, {"reduction": 2.5}, {"minimum": 0}])
def test_bad_settings_are_refused(options: dict):
    with pytest.raises(UserError, match="is no whole number from"):
        Halving(**options)


def test_how_far_stopped_candidates_are_behind_those_that_went_on():
    generator = np.random.default_rng(0)
    right = generator.random((5, 500)) < np.array([0.79, 0.6, 0.9, 0.8, 0.7])[:, None]
    right[4] = right[1]  # candidates 3 and 4 go on
    means, covariance = right.mean(axis=1), np.cov(right.astype(float), ddof=0) / 500
    found = Sureness(
        500,
        {"accuracy": means, "loss": -means},
        {"accuracy": covariance, "loss": covariance},
    )
    everywhere = np.ones((3, 2), dtype=bool)
    behind = errors_behind(found, {"accuracy": 1}, everywhere)
    for row in (0, 1):  # McNemar: by the samples that only one has right
        differences = right[3].astype(float) - right[row]
        expected = differences.mean() / (differences.std() / np.sqrt(500))
        assert behind[row] == pytest.approx(expected) if expected > 0 else behind[row] == -np.inf
    assert behind[1] > 2
    assert behind[2] == -np.inf, "better than both"
    assert errors_behind(found, {"loss": -1}, everywhere) == pytest.approx(behind)
    assert errors_behind(found, {"accuracy": 1, "loss": -1}, everywhere) == pytest.approx(behind)
    dearer = everywhere & np.array([False, True])
    assert errors_behind(found, {"accuracy": 1}, dearer)[1] == 0, "only its equal is no dearer"
    assert errors_behind(found, {"accuracy": 1}, ~everywhere).tolist() == [-np.inf] * 3


def test_what_is_not_surely_behind_is_warned_of_once(caplog: pytest.LogCaptureFixture):
    warn_of_near(np.array([0.5, -np.inf, 2.1, np.nan]), 2, "after 3 of 9 epochs")
    assert [record.message for record in caplog.records] == [
        "halving stopped 4 of 6 candidates after 3 of 9 epochs; 2 of them were not surely behind one that "
        "went on (by more than 2 standard errors), so they may belong to the front; a smaller reduction "
        "stops fewer"
    ]
    warn_of_near(np.array([2.1, np.nan]), 2, "after 3 of 9 epochs")
    assert len(caplog.records) == 1
