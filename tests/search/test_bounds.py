"""Bounds of cost in a search: what is proposed, what is cut, and what is done where nothing is within."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from helpers.metrics import constraint
from helpers.searches import AIM, METRICS, SPACE, Evaluator, make_record, make_strategy
from widthwise.core.arrays import FloatArray, IntArray
from widthwise.evaluators.called import evaluator_of
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.goals.constraints import Constraint
from widthwise.search.bounds import within_bounds
from widthwise.search.limits import Limits
from widthwise.search.loop import run_search
from widthwise.strategies import Strategy
from widthwise.study.run_folder import start_run

EVERYTHING = SPACE.at(range(SPACE.size))
SIZES = Evaluator().costs(EVERYTHING)["model_size"]


def size(op: str, bound: float) -> Constraint:
    return constraint("model_size", op, bound)


def search(folder, strategy: Strategy | str, *bounds: Constraint, **limits):
    record = make_record(constraints=bounds)
    made = make_strategy(strategy) if isinstance(strategy, str) else strategy
    with start_run(folder, record) as run:
        return run_search(made, Evaluator(), run.writer, limits=Limits(**limits), batch_size=8)


def test_only_what_is_known_without_evaluating_bounds_the_space():
    accuracy = constraint("accuracy", ">=", 0.9)
    within = within_bounds(SPACE, [size("<=", 24), size(">", 12), accuracy], Evaluator())
    assert within.listed.tolist() == np.flatnonzero((SIZES <= 24) & (SIZES > 12)).tolist()
    assert within.bounds == "model_size <= 24, model_size > 12"
    assert within_bounds(SPACE, [accuracy], Evaluator()) is None
    assert within_bounds(SPACE, [size("<=", 24)], evaluator_of(Evaluator().__call__, METRICS)) is None


def test_what_has_to_be_measured_bounds_nothing_and_is_not_known_before_whatever_an_evaluator_says():
    measured = replace(size("<=", 24).metric, kind="measured")
    assert within_bounds(SPACE, [replace(size("<=", 24), metric=measured)], Evaluator()) is None
    objectives = (AIM.objectives[0], replace(AIM.objectives[1], metric=measured))
    told = Aim(objectives).known(Evaluator().costs(EVERYTHING), SPACE.size)
    assert np.isnan(told).all()
    assert np.array_equal(AIM.known(Evaluator().costs(EVERYTHING), SPACE.size)[:, 1], -0.2 * SIZES)


@pytest.mark.parametrize("name", ["random", "local", "tpe", "nsga2", "qmc", "frontier"])
def test_strategies_that_keep_within_bounds_have_nothing_cut(tmp_path, name):
    study = search(tmp_path / "run", name, size("<=", 16), trials=15)
    assert study.summary.cut == 0
    assert study.summary.trials > 5
    assert all(trial.metrics["model_size"] <= 16 for trial in study.trials)


def test_enumeration_cuts_exactly_in_order_and_evaluates_no_other(tmp_path):
    study = search(tmp_path / "run", "brute-force", size("<=", 16))
    inside = np.flatnonzero(SIZES <= 16)
    assert np.array_equal(study.trials.arrays().candidates, EVERYTHING[inside])
    assert (study.summary.trials, study.summary.cut) == (len(inside), SPACE.size - len(inside))


@pytest.mark.parametrize("name", ["brute-force", "grid", "random", "local", "tpe", "frontier"])
def test_bounds_that_nothing_meets_end_it_before_anything_is_proposed(tmp_path, name):
    study = search(tmp_path / "run", name, size("<=", 11))
    assert study.finished == "all 729 candidates are out of bounds by their costs alone (model_size <= 11)"
    assert (study.summary.trials, study.summary.cut, study.exit_status) == (0, 0, 0)


class Silent:
    """Proposes what it is given, as a strategy that hits no bounds would, and then nothing."""

    batch, learns = 4, True
    finished = "nothing comes to mind"

    def __init__(self, proposals: IntArray) -> None:
        self.left = proposals
        self.told: list[list[int]] = []

    def ask(self, n: int) -> IntArray:
        given, self.left = self.left[:n], self.left[n:]
        return given

    def tell(self, candidates: IntArray, values: FloatArray) -> None:
        self.told += candidates[~np.isnan(values).any(axis=1)].tolist()


def test_a_search_whose_strategy_finds_nothing_within_bounds_still_ends_with_something(tmp_path):
    silent = Silent(EVERYTHING[-20:])
    study = search(tmp_path / "run", silent, size("<=", 13))
    assert study.summary.cut == 20
    assert study.front
    assert all(trial.metrics["model_size"] <= 13 for trial in study.trials)
    assert silent.told == [list(trial.candidate) for trial in study.trials]
    assert study.finished == "nothing comes to mind"


def test_a_strategy_that_never_gets_within_bounds_is_stopped(tmp_path):
    outside = np.tile(EVERYTHING[::-1][:700], (20, 1))
    study = search(tmp_path / "run", Silent(outside), size("<=", 12))
    assert study.finished == "10,008 candidates in a row were out of bounds (model_size <= 12)"
    assert [trial.metrics["model_size"] for trial in study.front] == [12]
