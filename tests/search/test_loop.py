"""The loop: what is stored, what the front is, what stops a search, and what fails alone."""

from __future__ import annotations

import time

import numpy as np
import pytest

from helpers.failing import GivesInfinity, GivesNaN, Raises, RunsOutOfMemory, RunsOutOfMemoryInTorch, SaysSo
from helpers.metrics import constraint, objective
from helpers.searches import AIM, METRICS, SPACE, Evaluator, make_record, make_strategy, start_or_resume
from widthwise.core.errors import UserError
from widthwise.evaluators.protocol import Results
from widthwise.metrics.goals.aim import Aim
from widthwise.search.limits import Limits
from widthwise.search.loop import run_search
from widthwise.study.run_folder import load_run, resume_run, start_run
from widthwise.study.store import Store, StudyWriter


def _search(folder, evaluator=None, name="brute-force", **options):
    with start_or_resume(folder) as run:
        return run_search(make_strategy(name), evaluator or Evaluator(), run.writer, **options)


def _with_record(folder, record, evaluator=None, name="brute-force", **options):
    with start_run(folder, record) as run:
        return run_search(make_strategy(name), evaluator or Evaluator(), run.writer, **options)


def _brute_force_front(metrics):
    """Positions that nothing dominates, by comparing all with all."""
    values = np.stack([metrics["accuracy"], -metrics["model_size"]], axis=1)
    better = (values[:, None] >= values).all(axis=2) & (values[:, None] > values).any(axis=2)
    return np.flatnonzero(~better.any(axis=0)).tolist()


EVERYTHING = SPACE.at(range(SPACE.size))


@pytest.mark.parametrize("batch_size", [None, 1, 50])
def test_brute_force_stores_every_candidate_and_finds_the_front(tmp_path, batch_size):
    study = _search(tmp_path / "run", batch_size=batch_size)
    expected = Evaluator()(EVERYTHING)
    block = study.trials.arrays()
    assert np.array_equal(block.candidates, EVERYTHING)
    assert np.array_equal(block.metrics, np.stack([expected[name] for name in METRICS], axis=1))
    assert [trial.number for trial in study.front] == _brute_force_front(expected)
    assert study.finished == "all 729 candidates proposed"
    assert study.exit_status == 0
    assert load_run(tmp_path / "run").front == study.front


@pytest.mark.parametrize("name", ["brute-force", "random", "local", "tpe", "nsga2"])
@pytest.mark.parametrize("batch_size", [1, 6])
def test_a_search_in_three_sessions_is_the_one_in_one(tmp_path, name, batch_size):
    whole = _search(tmp_path / "whole", name=name, batch_size=batch_size, limits=Limits(trials=36))
    for trials in (12, 18, 36):
        parts = _search(tmp_path / "parts", name=name, batch_size=batch_size, limits=Limits(trials=trials))
        assert parts.summary.trials == trials
    one, other = whole.trials.arrays(), parts.trials.arrays()
    assert np.array_equal(one.candidates, other.candidates)
    assert np.array_equal(one.metrics, other.metrics)
    assert [trial.metrics for trial in whole.front] == [trial.metrics for trial in parts.front]


@pytest.mark.parametrize("name", ["brute-force", "random", "tpe"])
def test_constraints_cut_by_cost_before_evaluation_and_keep_the_rest_off_the_front(tmp_path, name):
    bounds = [
        constraint("model_size", "<=", 24.0),
        constraint("accuracy", ">=", 0.3),
    ]
    seen = []

    class Watched(Evaluator):
        def __call__(self, candidates):
            seen.append(candidates)
            return super().__call__(candidates)

    record = make_record(constraints=tuple(bounds))
    limits = Limits(trials=None if name == "brute-force" else 40)
    study = _with_record(tmp_path / "a", record, Watched(), name, limits=limits, batch_size=8)
    assert (Evaluator().costs(np.concatenate(seen))["model_size"] <= 24).all()
    assert study.summary.trials == sum(map(len, seen))
    assert study.front
    assert all(t.metrics["accuracy"] >= 0.3 and t.metrics["model_size"] <= 24 for t in study.front)
    if name == "brute-force":
        metrics = Evaluator()(EVERYTHING)
        within = np.flatnonzero((metrics["model_size"] <= 24) & (metrics["accuracy"] >= 0.3))
        best = _brute_force_front({key: values[within] for key, values in metrics.items()})
        assert [SPACE.positions(np.array([t.candidate]))[0] for t in study.front] == within[best].tolist()
        assert study.summary.trials + study.summary.cut == SPACE.size
    with pytest.raises(ZeroDivisionError):
        _with_record(tmp_path / "b", record, Dies(after=3), name, limits=limits, batch_size=8)
    with resume_run(tmp_path / "b") as run:
        parts = run_search(make_strategy(name), Evaluator(), run.writer, limits=limits, batch_size=8)
    assert np.array_equal(parts.trials.arrays().candidates, study.trials.arrays().candidates)
    assert (parts.summary.cut, parts.summary.trials) == (study.summary.cut, study.summary.trials)


def test_keeping_the_front_alone_finds_the_same_front_and_can_be_resumed(tmp_path):
    whole = _search(tmp_path / "all", batch_size=20)
    _search(tmp_path / "front", batch_size=20, keep="front", limits=Limits(trials=300))
    study = _search(tmp_path / "front", batch_size=20, keep="front")
    assert study.summary.trials == SPACE.size
    assert [(t.number, t.metrics) for t in study.front] == [(t.number, t.metrics) for t in whole.front]
    assert len(whole.front) <= len(study.trials) < SPACE.size / 2
    assert [t.number for t in load_run(tmp_path / "front").front] == [t.number for t in whole.front]
    missing = next(n for n in range(SPACE.size) if n not in {trial.number for trial in study.trials})
    with pytest.raises(IndexError, match="kept only the front"):
        study.trials[missing]


def test_keeping_the_front_alone_is_refused_where_the_strategy_learns(tmp_path):
    with pytest.raises(UserError, match="keep = front needs brute-force or grid"):
        _search(tmp_path / "run", name="random", keep="front")


def test_a_scaled_sum_has_the_best_sum_as_its_front(tmp_path):
    aim = Aim(
        (objective("accuracy", "maximize", 1.0), objective("model_size", "minimize", -0.01)), True, "maximize"
    )
    study = _with_record(tmp_path / "run", make_record(aim=aim))
    metrics = Evaluator()(EVERYTHING)
    total = metrics["accuracy"] - 0.01 * metrics["model_size"]
    assert [trial.number for trial in study.front] == np.flatnonzero(total == total.max()).tolist()
    scaled = study.front[0].scaled_metrics
    assert sum(scaled.values()) == pytest.approx(total.max())
    assert study.as_json()["metrics"] == {"scaled_sum": "maximize"}


class Dies:
    """Raises after some batches, as a bug or a kill would."""

    def __init__(self, after):
        self.left = after
        self.costs = Evaluator().costs

    def __call__(self, candidates):
        self.left -= 1
        if self.left < 0:
            raise ZeroDivisionError
        return Evaluator()(candidates)


@pytest.mark.parametrize(
    ("evaluator", "reason", "batch_size"),
    [
        (GivesNaN(), "accuracy is NaN", 10),
        (GivesInfinity(), "accuracy is infinite", 10),
        (SaysSo(), "no such width", 10),
        (RunsOutOfMemory(), "MemoryError: 20 GiB", 10),
        (RunsOutOfMemoryInTorch(), "RuntimeError: DefaultCPUAllocator: can't allocate memory", 10),
        (Raises(), "ZeroDivisionError: by zero", 1),
    ],
)
@pytest.mark.parametrize("name", ["brute-force", "random", "tpe"])
def test_a_failing_trial_fails_alone_with_its_reason(tmp_path, evaluator, reason, batch_size, name):
    limits = Limits(trials=None if name == "brute-force" else 30, max_failures=None)
    study = _search(tmp_path / "run", evaluator, name, limits=limits, batch_size=batch_size)
    trials = list(study.trials)
    odd = [trial for trial in trials if trial.candidate[0] == 1]
    assert [trial for trial in trials if trial.state == "failed"] == odd
    assert odd
    assert all(trial.reason is not None and trial.reason.startswith(reason) for trial in odd)
    assert study.summary.failed == len(odd)
    assert study.front
    assert all(trial.state == "complete" for trial in study.front)
    good = [t for t in trials if t.candidate[0] != 1]
    assert all(t.metrics == {k: v[0] for k, v in Evaluator()(np.array([t.candidate])).items()} for t in good)
    assert load_run(tmp_path / "run").front == study.front


def test_too_many_failures_in_a_row_stop_the_search_and_all_is_kept(tmp_path):
    limits = Limits(max_failures=100)
    study = _search(tmp_path / "run", GivesNaN(), limits=limits, batch_size=50)
    assert study.finished is not None
    assert study.finished.endswith("trials in a row failed, the last because: accuracy is NaN")
    assert study.exit_status == 1
    assert study.summary.trials == 350  # 243 good ones, then 101 fail within the next 150
    again = _search(tmp_path / "run", limits=limits, batch_size=50)  # resumed, the network is mended
    assert again.summary.trials == SPACE.size
    assert again.exit_status == 0


@pytest.mark.parametrize("part", ["ask", "tell"])
def test_a_strategy_that_fails_later_ends_the_search_with_what_it_has(tmp_path, part):
    class Failing:
        batch, learns = 10, True

        def __init__(self):
            self.inner, self.calls = make_strategy("random"), 0

        @property
        def finished(self):
            return self.inner.finished

        def count(self, now):
            self.calls += now == part
            if self.calls == 3:
                raise UserError(f"strategy mine: {part} raised ValueError: no more")

        def ask(self, n):
            self.count("ask")
            return self.inner.ask(n)

        def tell(self, candidates, values):
            self.count("tell")
            self.inner.tell(candidates, values)

    with start_run(tmp_path / "run", make_record()) as run:
        study = run_search(Failing(), Evaluator(), run.writer)
    assert study.finished == f"strategy mine: {part} raised ValueError: no more"
    assert study.summary.trials == (20 if part == "ask" else 30)
    assert study.front
    assert study.exit_status == 1
    assert load_run(tmp_path / "run").summary.trials == study.summary.trials


def test_a_strategy_that_fails_at_once_is_an_error(tmp_path):
    class Failing:
        batch, learns, finished = 1, True, None

        def ask(self, n):
            raise UserError("strategy mine: ask raised ValueError: never")

        tell = ask

    with (
        start_run(tmp_path / "run", make_record()) as run,
        pytest.raises(UserError, match="strategy mine: ask raised ValueError: never"),
    ):
        run_search(Failing(), Evaluator(), run.writer)


def test_an_unexpected_error_of_a_batch_is_raised_and_what_is_stored_is_kept(tmp_path):
    with pytest.raises(ZeroDivisionError):
        _search(tmp_path / "run", Raises(), batch_size=50)
    assert load_run(tmp_path / "run").summary.trials == 200
    assert load_run(tmp_path / "run").finished is None


def test_a_trial_that_runs_too_long_fails_and_is_stopped(tmp_path):
    class Slow(Evaluator):
        def __call__(self, candidates):
            if candidates[0, -1] == 2:
                time.sleep(30)
            return super().__call__(candidates)

    began = time.monotonic()
    study = _search(tmp_path / "run", Slow(), limits=Limits(trials=6, trial_timeout=0.2))
    assert time.monotonic() - began < 10
    assert [trial.reason for trial in study.trials] == [None, None, "ran past its 0.2 s"] * 2


def test_the_timeout_counts_all_sessions_by_a_clock_that_does_not_jump(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1e12)  # someone set the clock
    study = _search(tmp_path / "run", Evaluator(0.05), limits=Limits(timeout=0.3), batch_size=1)
    assert study.finished == "timeout of 0.3 s reached"
    assert 0.3 <= study.seconds < 5
    trials = study.summary.trials
    assert _search(tmp_path / "run", limits=Limits(timeout=0.3), batch_size=1).summary.trials == trials
    assert _search(tmp_path / "run").summary.trials == SPACE.size


def test_the_last_batch_is_as_great_as_the_time_left_is_enough_for(tmp_path):
    sizes = []

    class Slow(Evaluator):
        def __call__(self, candidates):
            sizes.append(len(candidates))
            time.sleep(0.02 * len(candidates))
            return super().__call__(candidates)

    study = _search(tmp_path / "run", Slow(), limits=Limits(timeout=1.5), batch_size=50)
    assert study.finished == "timeout of 1.5 s reached"
    assert sizes[0] == 50  # a second
    assert 1 <= sizes[1] < 30


def test_trials_are_limited_exactly(tmp_path):
    study = _search(tmp_path / "run", limits=Limits(trials=20), batch_size=8)
    assert (study.summary.trials, study.finished) == (20, "20 trials done")


@pytest.mark.parametrize(
    "wrong",
    [
        {"trials": 0},
        {"timeout": -1.0},
        {"timeout": float("nan")},
        {"trial_timeout": 0.0},
        {"max_failures": -1},
    ],
)
def test_limits_that_allow_nothing_are_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        Limits(**wrong)


@pytest.mark.parametrize(("batch_size", "timeout"), [(0, None), (2, 1.0)])
def test_a_batch_size_that_can_not_be_is_refused(tmp_path, batch_size, timeout):
    with pytest.raises(UserError, match=f"batch_size = {batch_size}"):
        _search(tmp_path / "run", batch_size=batch_size, limits=Limits(trial_timeout=timeout))


def test_progress_says_how_far_and_how_good(tmp_path):
    reports = []
    study = _search(
        tmp_path / "run", Evaluator(0.01), batch_size=20, limits=Limits(trials=500), progress=reports.append
    )
    assert reports[-1].trials == 500
    assert reports[-1].total == 500
    assert [report.trials for report in reports] == sorted(report.trials for report in reports)
    assert len(reports) <= 3 + study.seconds / 0.1
    metrics = Evaluator()(EVERYTHING[:500])
    assert reports[-1].best == {
        "accuracy": metrics["accuracy"].max(), "model_size": pytest.approx(0.2 * metrics["model_size"].min())
    }  # fmt: skip
    assert reports[-1].front == len(study.front)


def test_an_evaluator_that_lacks_a_metric_is_told_so(tmp_path):
    with pytest.raises(UserError, match="no metric named 'model_size'"):
        _search(tmp_path / "run", lambda candidates: Results({"accuracy": np.ones(len(candidates))}))


def test_resuming_another_space_by_enumeration_is_refused(tmp_path):
    record = make_record()
    with Store.create(tmp_path / "x.db") as store, StudyWriter(store, store.create_study(record)) as writer:
        candidates = EVERYTHING[::-1][:5]
        writer.append(candidates, Evaluator()(candidates), {}, seconds=0, elapsed=0)
    with Store.open(tmp_path / "x.db") as store, StudyWriter(store, store.find()) as writer:
        with pytest.raises(UserError, match="not what the strategy proposes"):
            run_search(make_strategy(), Evaluator(), writer)
        assert store.summary(store.find()).trials == 5


def test_the_strategy_is_told_signs_turned_so_that_more_is_better(tmp_path):
    told = []

    class Watched:
        batch, learns = 4, True
        finished = "enough"

        def ask(self, n):
            return EVERYTHING[:n] if not told else EVERYTHING[:0]

        def tell(self, candidates, values):
            told.append((candidates, values))

    with start_or_resume(tmp_path / "run") as run:
        run_search(Watched(), Evaluator(), run.writer)
    ((candidates, values),) = told
    metrics = Evaluator()(candidates)
    assert np.array_equal(values, np.stack([metrics["accuracy"], -0.2 * metrics["model_size"]], axis=1))
    assert np.array_equal(AIM.values(metrics), values)
