"""Fronts, ranks, crowding and hypervolume against brute force and against Optuna's own."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from optuna._hypervolume import compute_hypervolume
from optuna.study._multi_objective import _fast_non_domination_rank
from optuna.trial import create_trial

from widthwise.core.errors import UserError
from widthwise.metrics.goals.pareto import Front, crowding, hypervolume, maximised, nondominated, ranks

# few distinct values: many ties and equal points
tables = st.tuples(st.integers(0, 30), st.integers(1, 5)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(-3, 3).map(float))
)


def dominated_by_hand(table):
    """[n]: whether some other point is nowhere worse and somewhere better."""
    return np.array(
        [any((other >= one).all() and (other > one).any() for other in table) for one in table], dtype=bool
    )


@given(tables)
def test_front_is_what_nothing_dominates(table):
    assert (nondominated(table) == ~dominated_by_hand(table)).all()


@given(tables)
def test_rank_is_the_number_of_fronts_before_it(table):
    expected = np.full(len(table), -1)
    rank = 0
    while (expected < 0).any():
        left = np.flatnonzero(expected < 0)
        expected[left[~dominated_by_hand(table[left])]] = rank
        rank += 1
    assert (ranks(table) == expected).all()
    if len(table):
        assert (ranks(table) == _fast_non_domination_rank(-table)).all()


@given(tables)
def test_hypervolume_equals_counted_unit_cells(table):
    reference = np.full(table.shape[1], -3.0)
    cells = np.stack(np.meshgrid(*[np.arange(-3, 3)] * table.shape[1], indexing="ij"), axis=-1)
    cells = cells.reshape(-1, table.shape[1])  # the lower corner of each cell
    covered = np.zeros(len(cells), dtype=bool)
    for point in table:
        covered |= (point > cells).all(axis=1)
    assert hypervolume(table, reference) == pytest.approx(covered.sum())


@pytest.mark.parametrize("objectives", [1, 2, 3, 4, 5])
def test_hypervolume_equals_optunas(objectives):
    points = np.random.default_rng(objectives).random((40, objectives))
    theirs = compute_hypervolume(-points, np.zeros(objectives))
    assert hypervolume(points, np.zeros(objectives)) == pytest.approx(theirs)


def test_front_is_optunas_best_trials():
    values = np.random.default_rng(0).integers(0, 12, (200, 2)).astype(float)
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.add_trials([create_trial(values=row) for row in values.tolist()])
    best = sorted(trial.number for trial in study.best_trials)
    assert np.flatnonzero(nondominated(maximised(values, ["maximize", "minimize"]))).tolist() == best


@given(tables, st.integers(1, 7))
def test_front_fed_in_batches_is_the_front_of_all(table, batch):
    front = Front(table.shape[1])
    for first in range(0, len(table), batch):
        front.update(table[first : first + batch])
    assert front.ids.tolist() == np.flatnonzero(nondominated(table)).tolist()
    assert (front.values == table[front.ids]).all()


def test_update_says_which_of_the_batch_entered():
    front = Front(2)
    assert front.update([[1, 1], [0, 0]], ids=[7, 8]).tolist() == [True, False]
    assert front.update([[0, 2], [1, 1], [2, 2]], ids=[9, 10, 11]).tolist() == [False, False, True]
    assert front.ids.tolist() == [11]


def test_failures_are_on_no_front_and_count_for_nothing():
    table = np.array([[np.nan, 9.0], [1.0, 2.0], [9.0, np.nan], [0.0, 1.0]])
    assert nondominated(table).tolist() == [False, True, False, False]
    assert ranks(table).tolist() == [-1, 0, -1, 1]
    assert hypervolume(table, [0, 0]) == 2.0
    front = Front(2)
    front.update(table)
    assert front.ids.tolist() == [1]
    assert np.isnan(crowding(table)).tolist() == [True, False, True, False]


@pytest.mark.parametrize("objectives", [2, 3])
def test_crowding_equals_optunas(objectives):
    from optuna.samplers.nsgaii._elite_population_selection_strategy import _calc_crowding_distance

    points = np.random.default_rng(1).random((20, objectives))
    trials = [create_trial(values=row) for row in points.tolist()]
    for number, trial in enumerate(trials):
        trial.number = number
    theirs = _calc_crowding_distance(trials)
    assert crowding(points) == pytest.approx(np.array([theirs[number] for number in range(len(trials))]))


def test_nothing_has_an_empty_front():
    assert hypervolume([], [0, 0]) == 0.0
    assert len(nondominated([])) == 0
    front = Front(2)
    front.update([])
    assert len(front) == 0
    assert front.hypervolume([0, 0]) == 0.0


def test_points_below_the_reference_add_nothing():
    assert hypervolume([[2, 3], [-1, 50]], [0, 0]) == 6.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: hypervolume([[1, 2, 3]], [0, 0]),
        lambda: maximised([[1, 2]], ["maximize"]),
        lambda: Front(2).update([[1, 2, 3]]),
        lambda: nondominated([1, 2, 3]),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call):
    with pytest.raises(UserError, match=r"\d"):
        call()
