"""A study as people read it: trials, front, picking, tables."""

from __future__ import annotations

import json

import numpy as np
import pytest

from helpers.metrics import constraint, metrics_of, objective
from helpers.searches import METRICS, SPACE, Evaluator, make_record, make_strategy, search
from widthwise.core.errors import UserError
from widthwise.metrics.goals.aim import Aim
from widthwise.search.limits import Limits
from widthwise.search.loop import run_search
from widthwise.spaces.space import Decision, Space
from widthwise.strategies import strategy
from widthwise.study.run_folder import start_run
from widthwise.study.store import StudyRecord, StudySettings
from widthwise.study.study import Study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return search(tmp_path_factory.mktemp("runs") / "sample", batch_size=100)


@pytest.fixture(scope="module")
def metrics():
    return Evaluator()(SPACE.at(range(SPACE.size)))


def test_trials_are_read_by_number_slice_and_in_order(study, metrics):
    assert len(study.trials) == SPACE.size
    trial = study.trials[100]
    assert trial.number == 100
    assert trial.candidate == tuple(SPACE.at([100])[0])
    assert trial.config == SPACE.chosen(trial.candidate)
    assert trial.software_metrics == {"accuracy": metrics["accuracy"][100]}
    assert trial.hardware_metrics == {"model_size": metrics["model_size"][100]}
    assert trial.scaled_metrics == {
        "accuracy": metrics["accuracy"][100],
        "model_size": 0.2 * metrics["model_size"][100],
    }
    assert study.trials[-1].number == SPACE.size - 1
    assert [trial.number for trial in study.trials[700:]] == list(range(700, SPACE.size))
    assert [trial.number for trial in study.trials[5:0:-2]] == [5, 3, 1]
    assert study.trials[3:3] == []
    assert [trial.number for trial in study.trials] == list(range(SPACE.size))
    with pytest.raises(IndexError):
        study.trials[SPACE.size]


def test_a_study_from_its_store_is_the_one_that_the_search_gave(study):
    loaded = Study.load(study.source)
    assert (loaded.front, loaded.name, loaded.finished) == (study.front, study.name, study.finished)
    assert loaded.summary.trials == study.summary.trials
    assert loaded.aim == study.aim


def test_seconds_of_trials_sum_to_those_of_evaluating(study):
    total = sum(trial.seconds for trial in study.trials)
    assert 0 < total <= study.seconds


def test_pick_chooses_the_best_within_bounds(study, metrics):
    chosen = study.pick("best accuracy with model_size <= 24B")
    within = metrics["model_size"] <= 24
    assert chosen.metrics["accuracy"] == metrics["accuracy"][within].max()
    assert chosen in study.front
    assert study.pick("knee") in study.front
    with pytest.raises(UserError, match="did you mean accuracy"):
        study.pick("best acuracy")


def test_pick_by_a_metric_that_is_no_objective_looks_at_all_trials(tmp_path):
    class Evaluating(Evaluator):
        def __call__(self, candidates):
            results = super().__call__(candidates)
            return type(results)({**results, "loss": np.abs(candidates.sum(axis=1) - 7.0)})

    record = make_record()
    record = StudyRecord("x", SPACE, metrics_of(*METRICS, "loss"), record.settings)
    with start_run(tmp_path / "run", record) as run:
        study = run_search(make_strategy(), Evaluating(), run.writer)
    chosen = study.pick("best loss")
    assert chosen.metrics["loss"] == 0.0
    sums = SPACE.at(range(SPACE.size)).sum(axis=1) == 7
    best = Evaluator()(SPACE.at(np.flatnonzero(sums).tolist()))
    values = np.stack([best["accuracy"], -best["model_size"]], axis=1)
    mine = np.array([chosen.metrics["accuracy"], -chosen.metrics["model_size"]])
    assert not ((values >= mine).all(axis=1) & (values > mine).any(axis=1)).any()


def test_pick_among_all_trials_keeps_to_the_bounds_of_the_search(tmp_path):
    class Evaluating(Evaluator):
        def __call__(self, candidates):
            results = super().__call__(candidates)
            return type(results)({**results, "loss": -candidates.sum(axis=1).astype(float)})

    record = make_record(constraints=(constraint("accuracy", "<=", 0.5),))
    record = StudyRecord("x", SPACE, metrics_of(*METRICS, "loss"), record.settings)
    with start_run(tmp_path / "run", record) as run:
        study = run_search(make_strategy(), Evaluating(), run.writer)
    assert study.pick("best loss").metrics["accuracy"] <= 0.5


def test_pick_takes_names_as_they_are_written_not_parts_of_them(tmp_path):
    class Evaluating(Evaluator):
        def __call__(self, candidates):
            results = super().__call__(candidates)
            fewest = {"recall": -candidates.sum(axis=1).astype(float)}
            return type(results)({**results, "recall[1]": results["accuracy"], **fewest})

    aim = Aim((objective("recall[1]", "maximize"), objective("model_size", "minimize")))
    record = StudyRecord("x", SPACE, metrics_of(*METRICS, "recall[1]", "recall"), StudySettings(aim))
    with start_run(tmp_path / "run", record) as run:
        study = run_search(make_strategy(), Evaluating(), run.writer)
    knees = {study.pick("knee with recall[1] >= 0").number, study.pick("knee").number}
    assert len(knees) == 1  # recall is part of the rule's text, not one of its metrics
    assert study.pick("best recall").metrics["recall"] == 0
    with pytest.raises(UserError) as caught:
        study.pick("best reccall")
    assert str(caught.value) == (
        "pick: no metric named 'reccall'; did you mean recall? "
        "allowed: accuracy, model_size, recall, recall[1]"
    )


def test_what_misses_a_rule_is_named_by_its_trial(study):
    sizes = {trial.number: trial.metrics["model_size"] for trial in study.front}
    smallest = min(sizes, key=sizes.__getitem__)
    with pytest.raises(UserError, match=f"the nearest: trial {smallest}: model_size"):
        study.pick("best accuracy with model_size <= 1")


def test_to_pandas_has_a_row_a_trial_and_a_column_a_decision(study, metrics):
    frame = study.to_pandas()
    assert list(frame.columns) == [
        "number", "state", "on_front", *METRICS, *(d.name for d in SPACE.decisions), "reason", "seconds"
    ]  # fmt: skip
    assert np.array_equal(frame["accuracy"], metrics["accuracy"])
    assert frame.loc[100, "layer 5"] == study.trials[100].config["layer 5"]
    assert (frame["state"] == "complete").all()


def test_json_of_a_study_has_what_the_command_line_prints(study):
    content = json.loads(json.dumps(study.as_json(), allow_nan=False))
    assert content["study"] == "sample"
    assert content["metrics"] == {"accuracy": "maximize", "model_size": "minimize"}
    assert content["trials"] == SPACE.size
    assert [trial["number"] for trial in content["front"]] == [tie.trial.number for tie in study.ties]
    assert set(content["front"][0]) == {
        "number", "software_metrics", "hardware_metrics", "scaled_metrics", "config", "alike"
    }  # fmt: skip
    assert content["front"][0]["config"] == study.ties[0].trial.config


def test_decisions_named_like_columns_and_choices_of_all_kinds_have_their_place(tmp_path):
    space = Space((Decision("number", (2, "NA")), Decision("<b>x</b>", (None, 1.5, True))))
    record = StudyRecord("", space, metrics_of(*METRICS), make_record().settings)

    def evaluate(candidates):
        values = candidates.sum(axis=1).astype(float)
        return type(Evaluator()(SPACE.at([0])))({"accuracy": values, "model_size": values})

    with start_run(tmp_path / "run", record) as run:
        made = strategy("brute-force", space, objectives={"accuracy": "maximize", "model_size": "minimize"})
        study = run_search(made, evaluate, run.writer, limits=Limits(trials=6))
    frame = study.to_pandas()
    assert frame["number"].tolist() == list(range(6))
    assert frame["config.number"].tolist() == [2, 2, 2, "NA", "NA", "NA"]
    assert study.trials[4].config == {"number": "NA", "<b>x</b>": 1.5}
