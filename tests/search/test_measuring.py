"""Measuring in a search: only what could join the front, each structure once, and the front all the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from helpers.metrics import constraint
from helpers.searches import SPACE, Evaluator, make_strategy
from widthwise.core.arrays import IntArray
from widthwise.core.errors import UserError
from widthwise.evaluators.protocol import UNMEASURED
from widthwise.metrics.catalogue import METRICS
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.goals.constraints import Constraint
from widthwise.metrics.goals.objective import Objective
from widthwise.metrics.measurer import Structure
from widthwise.search.limits import Limits
from widthwise.search.loop import run_search
from widthwise.study.run_folder import resume_run, start_run
from widthwise.study.store import StudyRecord, StudySettings
from widthwise.study.study import Study

NAMES = ("latency",)
COLUMNS = ("accuracy", "model_size", "latency")
EVERYTHING = SPACE.at(range(SPACE.size))
LATENCY = Objective(METRICS["latency"], "minimize")
ACCURACY, SIZE = Objective(METRICS["accuracy"], "maximize"), Objective(METRICS["model_size"], "minimize")


@dataclass
class Clock:
    """The first three choices are the structure, and a latency grows with each of them."""

    ordered: bool = True
    known: dict[Structure, Mapping[str, float]] = field(default_factory=dict)
    measured: list[Structure] = field(default_factory=list)
    fails: frozenset[Structure] = frozenset()

    def structures(self, candidates: IntArray) -> IntArray:
        return candidates[:, :3]

    def measure(self, structure: Structure, candidate: IntArray) -> Mapping[str, float]:
        assert structure == tuple(candidate[:3].tolist())
        self.measured.append(structure)
        if structure in self.fails:
            raise UserError("not measurable here: a storm")
        self.known[structure] = {"latency": latency(structure)}
        return self.known[structure]

    def float_figures(self) -> Mapping[str, float]:
        return {"latency": 50.0}

    def keep_in(self, folder: Path) -> None:
        del folder


def latency(structure: Structure) -> float:
    return 10.0 + structure[0] * 3 + structure[1] * 7 + structure[2] * 2


def searched(
    folder: Path,
    clock: Clock,
    *objectives: Objective,
    bounds: tuple[Constraint, ...] = (),
    batch: int = 729,
    aim: Aim | None = None,
    name: str = "brute-force",
    trials: int | None = None,
    resume: bool = False,
) -> Study:
    made = aim or Aim(objectives)
    columns = tuple(METRICS[name] for name in COLUMNS)
    record = StudyRecord("sample", SPACE, columns, StudySettings(aim=made, constraints=bounds), {}, "")
    opened = resume_run(folder) if resume else start_run(folder, record)
    with opened as run:
        how = {"measurer": (clock, NAMES), "batch_size": batch, "limits": Limits(trials=trials)}
        return run_search(make_strategy(name), Evaluator(), run.writer, **how)


def truth(*objectives: Objective, within: np.ndarray | None = None) -> list[int]:
    """The front, had everything been measured: by comparing all with all."""
    found = Evaluator()(EVERYTHING)
    columns = {**found.columns, "latency": np.array([latency(tuple(c[:3])) for c in EVERYTHING.tolist()])}
    signs = [1 if each.direction == "maximize" else -1 for each in objectives]
    values = np.stack([s * columns[o.name] for s, o in zip(signs, objectives, strict=True)], axis=1)
    allowed = np.ones(len(values), dtype=bool) if within is None else within
    values[~allowed] = -np.inf
    better = (values[:, None] >= values).all(axis=2) & (values[:, None] > values).any(axis=2)
    return np.flatnonzero(~better.any(axis=0) & allowed).tolist()


def values_of(study: Study, *names: str) -> set[tuple[float, ...]]:
    return {tuple(round(trial.metrics[name], 9) for name in names) for trial in study.front}


@pytest.mark.parametrize("batch", [729, 40])
@pytest.mark.parametrize("objectives", [(ACCURACY, LATENCY), (ACCURACY, SIZE, LATENCY)], ids=len)
def test_the_front_is_that_of_measuring_everything(
    objectives: tuple[Objective, ...], batch: int, tmp_path: Path
) -> None:
    clock = Clock()
    study = searched(tmp_path / "run", clock, *objectives, batch=batch)
    names = [each.name for each in objectives]
    found = Evaluator()(EVERYTHING).columns
    wanted = {
        tuple(
            round(
                float(
                    latency(tuple(EVERYTHING[row, :3].tolist())) if name == "latency" else found[name][row]
                ),
                9,
            )
            for name in names
        )
        for row in truth(*objectives)
    }
    assert values_of(study, *names) == wanted
    assert len(clock.measured) == len(set(clock.measured))


def test_few_structures_are_measured_where_the_front_is_short(tmp_path: Path) -> None:
    """Of two candidates with one accuracy, that of the greater structure can't be on the front."""
    clock = Clock()
    searched(tmp_path / "run", clock, LATENCY, SIZE)
    assert clock.measured == [(0, 0, 0)]  # the fastest and the smallest at once


def test_without_an_order_all_structures_are_measured(tmp_path: Path) -> None:
    clock = Clock(ordered=False)
    study = searched(tmp_path / "run", clock, ACCURACY, LATENCY)
    assert len(clock.measured) == 27
    assert study.summary.failed == 0


def test_candidates_that_are_not_measured_say_so_and_are_no_failures(tmp_path: Path) -> None:
    clock = Clock()
    study = searched(tmp_path / "run", clock, LATENCY, SIZE)
    states = {trial.state: trial for trial in study.trials}
    assert set(states) == {"complete", "pruned"}
    assert states["pruned"].reason == UNMEASURED
    assert np.isnan(states["pruned"].metrics["latency"])
    assert np.isfinite(states["pruned"].metrics["accuracy"])
    assert study.summary.failed == 0
    known = [trial for trial in study.trials if trial.state == "complete"]
    assert all(trial.candidate[:3] == (0, 0, 0) for trial in known)
    assert len(known) == 27  # all of the structure have its figure


def test_what_could_not_be_measured_failed_alone_with_the_reason(tmp_path: Path) -> None:
    clock = Clock(fails=frozenset({(0, 0, 0)}))
    study = searched(tmp_path / "run", clock, ACCURACY, LATENCY)
    failed = [trial for trial in study.trials if trial.state == "failed"]
    assert {trial.reason for trial in failed} == {"not measurable here: a storm"}
    assert {trial.candidate[:3] for trial in failed} == {(0, 0, 0)}
    assert all(np.isfinite(trial.metrics["latency"]) for trial in study.front)


def test_candidates_out_of_other_bounds_are_not_measured(tmp_path: Path) -> None:
    bound = constraint("model_size", "<=", 40)
    clock = Clock(ordered=False)
    study = searched(tmp_path / "run", clock, ACCURACY, LATENCY, bounds=(bound,))
    sizes = Evaluator().costs(EVERYTHING)["model_size"]
    assert set(clock.measured) <= {tuple(row[:3]) for row in EVERYTHING[sizes <= 40].tolist()}
    assert {trial.number for trial in study.front} <= set(np.flatnonzero(sizes <= 40).tolist())
    assert study.front


@pytest.mark.parametrize("bound", [20.0, 24.0])
def test_a_bound_on_the_latency_holds_and_spares_what_is_above_it(bound: float, tmp_path: Path) -> None:
    clock = Clock()
    limit = Constraint(METRICS["latency"], "<=", bound)
    study = searched(tmp_path / "run", clock, ACCURACY, SIZE, bounds=(limit,))
    assert all(trial.metrics["latency"] <= bound for trial in study.front)
    within = np.array([latency(tuple(row[:3])) <= bound for row in EVERYTHING.tolist()])
    found = Evaluator()(EVERYTHING).columns
    wanted = {
        (round(float(found["accuracy"][row]), 9), round(float(found["model_size"][row]), 9))
        for row in truth(ACCURACY, SIZE, within=within)
    }
    assert values_of(study, "accuracy", "model_size") == wanted
    assert len(clock.measured) < 27
    assert study.summary.failed == 0


def test_where_more_is_better_or_metrics_are_summed_nothing_is_spared(tmp_path: Path) -> None:
    slow = replace(LATENCY, direction="maximize")
    clock = Clock()
    searched(tmp_path / "slow", clock, ACCURACY, slow)
    assert len(clock.measured) == 27
    clock = Clock()
    summed = Aim((ACCURACY, replace(LATENCY, scale=-0.01)), summed=True, direction="maximize")
    searched(tmp_path / "sum", clock, aim=summed)
    assert len(clock.measured) == 27


@pytest.mark.parametrize("name", ["random", "tpe", "nsga2", "frontier"])
def test_strategies_go_on_with_candidates_that_were_not_measured(name: str, tmp_path: Path) -> None:
    study = searched(tmp_path / "run", Clock(), ACCURACY, LATENCY, name=name, batch=4, trials=24)
    assert study.summary.trials == 24
    assert study.summary.failed == 0
    assert study.front


def test_a_resumed_search_is_the_one_in_one_session(tmp_path: Path) -> None:
    whole = searched(tmp_path / "whole", Clock(), ACCURACY, LATENCY, name="tpe", batch=4, trials=24)
    clock = Clock()  # a run folder keeps what was measured
    searched(tmp_path / "parts", clock, ACCURACY, LATENCY, name="tpe", batch=4, trials=12)
    parts = searched(tmp_path / "parts", clock, name="tpe", batch=4, trials=24, resume=True)
    assert [trial.candidate for trial in parts.trials] == [trial.candidate for trial in whole.trials]
