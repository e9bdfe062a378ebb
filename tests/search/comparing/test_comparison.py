"""Whole comparisons on a space of 81: what is measured, what is evaluated, what ends it before it begins."""

from __future__ import annotations

import csv
import io
import json
import time
from dataclasses import replace

import numpy as np
import optuna
import pytest

from helpers.comparing import METRICS, SPACE, Backwards, everything, make_task, toy, values_of
from helpers.metrics import constraint, metrics_of, objective
from helpers.searches import AIM, Evaluator
from widthwise.config import example_text, load_config
from widthwise.core.errors import UserError
from widthwise.evaluators.protocol import Results
from widthwise.metrics.goals.pareto import hypervolume, nondominated
from widthwise.report import comparing as words
from widthwise.report.compare_page import charts
from widthwise.search.comparing import Entrant, compare, contest_of
from widthwise.search.comparing.signed_ranks import pair_tests
from widthwise.search.comparing.writing import as_csv, as_json, write
from widthwise.search.problem import load_problem
from widthwise.spaces.space import Decision, Space
from widthwise.strategies import STRATEGIES, strategy


def _compare(strategies="random,tpe", *, task=None, **options):
    given = {"seeds": 3, "budget": 20, **options}
    return compare(task or make_task()[0], strategies, **given)


def _without_times(content):
    """JSON without what no seed fixes."""
    if isinstance(content, dict):
        return {k: _without_times(v) for k, v in content.items() if "seconds" not in k}
    return [_without_times(v) for v in content] if isinstance(content, list) else content


def test_shares_are_those_of_the_strategy_asked_by_hand():
    found = _compare("random", seeds=[5], budget=30)
    values = values_of(everything())
    worst, span = values.min(axis=0), np.ptp(values, axis=0)
    reference = worst - 0.01 * span
    chosen = strategy("random", SPACE, objectives=AIM.directions, seed=5).ask(30)
    expected = [hypervolume(values_of(chosen[:n]), reference) for n in range(1, 31)]
    assert found.outcomes[0].share[0] == pytest.approx(np.array(expected) / hypervolume(values, reference))
    assert found.front == nondominated(values).sum()
    assert list(found.reference.values()) == pytest.approx((reference * [1, -1]).tolist())
    best = found.outcomes[0].best
    metrics = toy()(chosen)
    assert np.array_equal(best["accuracy"][0], np.maximum.accumulate(metrics["accuracy"]))
    assert np.array_equal(best["model_size"][0], np.minimum.accumulate(metrics["model_size"]))
    assert np.array_equal(best["loss"][0], np.minimum.accumulate(metrics["loss"]))


def test_where_the_space_is_enumerated_nothing_else_is_evaluated():
    task, evaluator = make_task()
    found = _compare("random,brute-force,tpe", task=task)
    assert sorted(evaluator.asked) == [tuple(row) for row in everything().tolist()]
    assert (found.truth, found.evaluated, found.size) == ("space", 81, 81)


def test_where_it_is_not_every_candidate_is_evaluated_once_and_the_union_is_the_yardstick():
    task, evaluator = make_task(most_enumerated=80)
    found = _compare("random,brute-force,tpe", task=task)
    assert len(set(evaluator.asked)) == len(evaluator.asked) == found.evaluated
    assert found.truth == "union"
    values = values_of(np.array(evaluator.asked))
    assert found.front == nondominated(values).sum()
    assert max(outcome.final.max() for outcome in found.outcomes) <= 1.0
    everyone = compare(make_task(most_enumerated=80)[0], "random", seeds=2, budget=81)
    assert everyone.outcomes[0].final.tolist() == [1.0, 1.0]


def test_without_a_limit_a_space_is_enumerated_where_one_run_could():
    task, _ = make_task(most_enumerated=None)
    assert compare(task, "random", seeds=1, budget=80).truth == "union"
    assert compare(task, "random", seeds=1, budget=81).truth == "space"


def test_a_space_beyond_all_integers_is_compared_by_what_was_found():
    space = Space(tuple(Decision(f"d{i}", (2, 4, 8)) for i in range(50)))  # 7e23

    def judged(candidates):
        return Results({"accuracy": candidates.mean(axis=1), "model_size": (candidates**2).sum(axis=1) / 1})

    task, _ = make_task(space=space, evaluator=judged, metrics=metrics_of("accuracy", "model_size"))
    found = _compare("random,nsga2,tpe", task=task)
    assert (found.truth, found.size, found.budget) == ("union", 3**50, 20)
    assert all((outcome.final > 0).all() for outcome in found.outcomes)


@pytest.mark.parametrize("name", ["brute-force", "random", "tpe", "nsga2", "local"])
def test_a_budget_beyond_the_space_is_all_of_it(name):
    found = compare(make_task()[0], name, seeds=2, budget=500)
    (outcome,) = found.outcomes
    assert (found.budget, found.asked_budget) == (81, 500)
    assert outcome.share.shape == (2, 81)
    if name != "local":  # which stops where no neighbour improves
        assert outcome.final.tolist() == [1.0, 1.0]
        assert outcome.evaluations.tolist() == [81, 81]


def test_the_same_arguments_give_the_same_result():
    first, second = (as_json(_compare("random,tpe,nsga2,local")) for _ in range(2))
    assert _without_times(first) == _without_times(second)
    other = as_json(_compare("random,tpe,nsga2,local", seeds=[3, 4, 5]))
    assert _without_times(first) != _without_times(other)


def test_a_strategy_is_no_other_for_who_is_compared_with_it():
    alone, beside = _compare("tpe"), _compare("random,nsga2,tpe")
    assert np.array_equal(alone.outcomes[0].share, beside.outcomes[2].share)


def test_candidates_are_asked_for_in_batches_of_the_size_wanted():
    asked = []

    class Watched(Backwards):
        batch = 7

        def ask(self, n):
            asked.append(n)
            return super().ask(n)

    from helpers import comparing

    comparing.Watched = Watched
    try:
        _compare("helpers.comparing:Watched", seeds=1, batch=8)
        assert asked[1:] == [8, 8, 4]  # the first is the rehearsal
        asked.clear()
        _compare("helpers.comparing:Watched", seeds=1)
        assert asked[1:] == [7, 7, 6]
    finally:
        del comparing.Watched


def test_own_time_is_that_of_asking_and_telling_and_of_nothing_else():
    class Slow(Evaluator):
        def __call__(self, candidates):
            time.sleep(0.3)
            return super().__call__(candidates)

    task, _ = make_task(evaluator=toy(Slow), most_enumerated=0)
    found = _compare("helpers.comparing:Slow", task=task, seeds=1, budget=6, batch=3)
    own = found.outcomes[0].own_seconds[0]
    assert (own[:3] == own[0]).all()
    assert (own[3:] == own[3]).all()
    assert 0.02 <= own[0] < 0.3
    assert 0.04 <= own[3] < 0.3
    assert found.seconds >= 0.6
    assert found.seconds_per_evaluation == found.seconds / 6


@pytest.mark.parametrize("op", [">=", "<="])
def test_candidates_out_of_bounds_by_cost_are_never_evaluated_and_the_rest_is_on_no_front(op):
    bounds = (constraint("model_size", "<=", 16.0), constraint("accuracy", op, 0.5))
    task, evaluator = make_task(constraints=bounds)
    found = _compare("brute-force,random", task=task, budget=81)
    candidates = everything()
    size = toy().costs(candidates)["model_size"]
    assert len(evaluator.asked) == (size <= 16).sum() < 81
    accuracy = toy()(candidates)["accuracy"]
    good = accuracy >= 0.5 if op == ">=" else accuracy <= 0.5
    inside = values_of(candidates)[(size <= 16) & good]
    assert found.front == nondominated(inside).sum()
    for outcome in found.outcomes:
        assert (outcome.evaluations == (size <= 16).sum()).all()
        assert (outcome.final == 1.0).all()
        assert np.nanmax(outcome.best["model_size"]) <= 16
        assert np.nanmax(outcome.best["accuracy"]) == accuracy[(size <= 16) & good].max()


def test_samplers_of_optuna_compete_as_they_are_made():
    mine = Entrant("mine", make=lambda seed: optuna.samplers.TPESampler(multivariate=True, seed=seed))
    alike = Entrant("alike", make=mine.make)
    found = _compare([mine, alike])
    assert [outcome.label for outcome in found.outcomes] == ["mine", "alike"]
    assert (found.outcomes[0].share == found.outcomes[1].share).all()
    with pytest.raises(UserError, match="mine stands there twice"):
        _compare([mine, mine])
    with pytest.raises(UserError, match="is a int; give a name or an Optuna sampler"):
        _compare([Entrant("number", make=lambda seed: seed)])


def test_the_budget_is_what_bounds_of_cost_leave_of_the_space():
    task, _ = make_task(constraints=(constraint("model_size", "<=", 16.0),))
    found = _compare("brute-force,random", task=task, budget=1000)
    left = int((toy().costs(everything())["model_size"] <= 16).sum())
    assert (found.budget, found.asked_budget, found.size) == (left, 1000, 81)
    assert all(outcome.share.shape[1] == left for outcome in found.outcomes)
    assert words.caution_lines(found)[1:] == []  # none ended before the budget
    assert (
        f"{left} evaluations (of 1,000 asked for: no more candidates are within the bounds of cost)"
        in (words.heading_lines(found)[0])
    )


def test_strategies_are_told_of_bounds_as_a_search_tells_them(project):
    (project / "asks.py").write_text(
        "import numpy as np\n"
        "class Asks:\n"
        "    def __init__(self, space): self.space, self.within = space, None\n"
        "    def keep_within(self, within): self.left = self.space.at(np.flatnonzero(\n"
        "        within(self.space.at(range(self.space.size)))).tolist())\n"
        "    def ask(self, n):\n"
        "        rows, self.left = self.left[:n], self.left[n:]\n"
        "        return rows\n"
        "    def tell(self, candidates, values): assert np.isfinite(values).all()\n"
    )
    task, _ = make_task(constraints=(constraint("model_size", "<=", 16.0),), most_enumerated=0)
    found = _compare("asks:Asks,random,frontier", task=task, budget=30)
    assert found.failures == {}
    assert (found.outcomes[0].evaluations == found.budget).all()


@pytest.mark.parametrize("limit", [0, 81])
def test_the_front_of_a_space_that_was_evaluated_whole_is_the_true_one(limit):
    task, _ = make_task(most_enumerated=limit)
    assert _compare("brute-force", task=task, budget=81).truth == "space"
    assert _compare("brute-force", task=task, budget=80).truth == ("space" if limit else "union")


def test_a_space_of_one_candidate_has_one_evaluation():
    space = Space((Decision("a", (8,)),))

    class One(Evaluator):
        def __call__(self, candidates):
            return Results(
                {name: np.full(len(candidates), 0.5) for name in ("accuracy", "model_size", "loss")}
            )

    task, _ = make_task(space=space, evaluator=toy(One))
    found = _compare("brute-force,random,tpe,local", task=task, seeds=1)
    assert [outcome.final.tolist() for outcome in found.outcomes] == [[1.0]] * 4
    assert words.heading_lines(found)[0].startswith("sample: 1 candidate, 1 evaluation (of ")
    assert words.pair_sheets(found) == []


def test_points_of_the_front_that_several_candidates_have_are_one():
    class Same(Evaluator):
        def __call__(self, candidates):
            results = super().__call__(candidates)
            return Results({name: np.ones_like(values) for name, values in results.items()})

    task, _ = make_task(evaluator=toy(Same))
    assert _compare("random", task=task).front == 1


def test_what_is_done_when_somebody_stops_it_is_kept():
    class Stopped(Evaluator):
        def __call__(self, candidates):
            if len(self.asked) > 12:
                raise KeyboardInterrupt
            return super().__call__(candidates)

    task, _ = make_task(evaluator=toy(Stopped), most_enumerated=0)
    found = _compare("brute-force,random,frontier", task=task, seeds=2, budget=10, batch=1)
    whole = _compare("brute-force", seeds=2, budget=10)
    assert found.interrupted == ("random", "frontier")
    assert [outcome.label for outcome in found.outcomes] == ["brute-force"]
    assert (found.outcomes[0].best["accuracy"] == whole.outcomes[0].best["accuracy"]).all()
    assert "stopped before all was done; left out: random, frontier" in words.caution_lines(found)
    with pytest.raises(KeyboardInterrupt):
        _compare("random", task=task, budget=30, batch=1)


def test_differences_and_shares_are_written_without_noise():
    first, second = np.array([0.5, 0.7, 0.6]), np.array([0.50002, 0.70002, 0.60002])
    found = _compare("brute-force,random", seeds=3)
    (test,) = pair_tests("mean share", {"a": first, "b": second})
    (row,) = words.pair_sheets(replace(found, tests=(test,)))[0].rows
    assert row[3] == "0.0000"
    never = replace(found.outcomes[0], share=np.array([[0.5, 1.0], [0.5, 0.8], [1.0, 1.0]]))
    ((_, first, *_),) = words.reach_sheet(replace(found, outcomes=(never,), budget=2)).rows
    assert first == "2 (2 to >2)"
    outcome = replace(found.outcomes[0], share=np.array([[0.9996, 0.9996, 1.0]] * 3))
    ((_, *cells),) = words.share_sheet(replace(found, outcomes=(outcome,), budget=3)).rows
    assert cells == ["0.999", "1.000"]  # after 1 and 3
    ((_, mean, _),) = words.effort_sheet(replace(found, outcomes=(outcome,), budget=3)).rows
    assert mean == "0.999"


@pytest.mark.parametrize(
    ("strategies", "seeds", "said"),
    [
        ("random,tpe", 5, "5 seeds can't show a difference: the smallest p possible is 0.0625; give 6 seeds"),
        ("random,tpe", 6, None),
        ("random,tpe,nsga2", 6, "possible is 0.0938, corrected for 3 pairs; give 7 seeds or more"),
        ("random,tpe,nsga2", 7, None),
        ("random", 1, None),
    ],
)
def test_too_few_seeds_to_show_a_difference_are_said(strategies, seeds, said):
    found = _compare(strategies, seeds=seeds, budget=4)
    lines = words.caution_lines(found)
    assert said in lines[0] if said else lines == []
    if said is None and found.tests:  # what has all seeds on one side is then told apart
        outcomes = [replace(o, share=o.share * 0 + 0.1 * i) for i, o in enumerate(found.outcomes)]
        tests = pair_tests("mean share", {o.label: o.mean_share for o in outcomes})
        assert max(test.holm for test in tests) < 0.05


def test_every_metric_has_a_curve_and_a_column_on_the_page():
    found = _compare("brute-force,random")
    titles = [chart.title for chart in charts(found)]
    assert titles == [
        "Share of the hypervolume",
        *(f"Best {name} so far" for name in ("accuracy", "model_size", "loss")),
        "Own time so far, seconds",
    ]
    best = words.sheets(found, all_metrics=True)[3]
    assert best.headers == ("strategy", "accuracy", "model_size", "loss")
    assert words.sheets(found)[3].headers == ("strategy", "accuracy", "model_size")


def test_bounds_that_nothing_meets_are_one_line():
    task, _ = make_task(constraints=(constraint("accuracy", ">=", 2.0),))
    with pytest.raises(UserError, match="no candidate is within accuracy >= 2; loosen a bound"):
        _compare(task=task)


@pytest.mark.parametrize("limit", [0, 81])
def test_bounds_of_cost_that_nothing_meets_end_it_before_the_first_evaluation(limit):
    task, evaluator = make_task(constraints=(constraint("model_size", "<=", 1.0),), most_enumerated=limit)
    with pytest.raises(UserError, match=r"out of bounds by their costs alone \(model_size <= 1"):
        _compare(task=task)
    assert evaluator.asked == []


def test_failed_candidates_cost_an_evaluation_and_are_worth_nothing():
    class Failing(Evaluator):
        def __call__(self, candidates):
            good = super().__call__(candidates)
            rows = np.flatnonzero(candidates[:, 3] == 2).tolist()
            return Results(good.columns, dict.fromkeys(rows, "broken"))

    task, _ = make_task(evaluator=toy(Failing))
    found = _compare("brute-force", task=task, budget=81, seeds=1)
    kept = everything()[everything()[:, 3] != 2]
    assert found.front == nondominated(values_of(kept)).sum()
    share = found.outcomes[0].share[0]
    assert share[2] == share[1]  # the third candidate is the first that fails
    assert share[-1] == 1.0
    assert (found.failed, found.failed_because) == (27, "broken")
    assert "27 of 81 candidates failed and are worth nothing, the first because: broken" in (
        words.caution_lines(found)
    )


@pytest.mark.parametrize("limit", [0, 81])
def test_where_every_candidate_fails_the_reason_is_said(limit):
    class Broken(Evaluator):
        def __call__(self, candidates):
            nothing = {name: np.full(len(candidates), np.nan) for name in METRICS}
            return Results(nothing, dict.fromkeys(range(len(candidates)), "no memory"))

    task, _ = make_task(evaluator=toy(Broken), most_enumerated=limit)
    with pytest.raises(UserError, match="no candidate could be evaluated; the first failed: no memory"):
        _compare("random", task=task)


def test_one_objective_is_measured_by_how_near_its_best_comes():
    aim = AIM.__class__((objective("accuracy", "maximize"),))
    task, _ = make_task(aim=aim)
    found = _compare("brute-force,cmaes", task=task, seeds=1)
    accuracy = toy()(everything())["accuracy"]
    best = np.maximum.accumulate(accuracy[:20])
    worst, span = accuracy.min(), np.ptp(accuracy)
    expected = (best - worst + 0.01 * span) / (1.01 * span)
    assert found.outcomes[0].share[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("strategies", "options", "said"),
    [
        ("cmaes,random", {}, "cmaes"),
        ("randon", {}, "did you mean random?"),
        ("helpers.comparing:FailsAtOnce", {}, "FailsAtOnce: ask raised ZeroDivisionError: no idea"),
        ("helpers.comparing:Nothing", {}, "Nothing"),
        ("random", {"budget": 0}, "budget = 0; give 1 evaluation or more"),
        ("random", {"seeds": 0}, "seeds = 0; give 1 or more"),
        ("random", {"seeds": [1, 1]}, "none twice"),
        ("random", {"batch": 0}, "batch = 0; give 1 or more"),
    ],
)
def test_what_cannot_work_is_said_before_the_first_evaluation(strategies, options, said):
    task, evaluator = make_task()
    with pytest.raises(UserError) as caught:
        _compare(strategies, task=task, **options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert evaluator.asked == []


def test_a_strategy_that_fails_on_the_way_is_left_out_and_named():
    found = _compare("helpers.comparing:FailsLater,random")
    assert [outcome.label for outcome in found.outcomes] == ["random"]
    (reason,) = found.failures.values()
    assert reason.startswith("seed 0, after 3 evaluations: ")
    assert "tell raised RuntimeError: lost count (comparing.py, line " in reason
    with pytest.raises(UserError, match=r"every strategy failed: .*lost count"):
        _compare("helpers.comparing:FailsLater")


def test_what_the_evaluator_raises_is_no_fault_of_a_strategy():
    class Broken(Evaluator):
        def __call__(self, candidates):
            raise OSError("disk gone")

    task, _ = make_task(evaluator=toy(Broken), most_enumerated=0)
    with pytest.raises(OSError, match="disk gone"):
        _compare("brute-force", task=task, batch=5)


def test_progress_counts_candidates_then_runs():
    seen = []
    _compare("random,brute-force", progress=seen.append)
    assert [(done.stage, done.done, done.total) for done in seen] == [
        ("enumerating the space", 81, 81),
        *[("random", n, 6) for n in (1, 2, 3)],
        *[("brute-force", n, 6) for n in (4, 5, 6)],
    ]


def test_csv_has_a_row_for_every_evaluation_of_every_run():
    found = _compare("random,local(starts=2)", budget=81)
    rows = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert len(rows) == sum(int(outcome.evaluations.sum()) for outcome in found.outcomes)
    for outcome in found.outcomes:
        for index, seed in enumerate(found.seeds):
            mine = [r for r in rows if r["strategy"] == outcome.label and int(r["seed"]) == seed]
            assert [int(r["evaluations"]) for r in mine] == list(range(1, len(mine) + 1))
            assert [float(r["share"]) for r in mine] == outcome.share[index, : len(mine)].tolist()
            assert set(mine[0]) >= {f"best_{name}" for name in METRICS}


def test_json_is_plain_and_says_null_for_what_was_never_reached(tmp_path):
    found = _compare("brute-force,random", budget=5)
    assert len(found.tests) == 2
    for path in write(found, tmp_path):
        assert path.parent == tmp_path
    content = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert content == json.loads(json.dumps(as_json(found), allow_nan=False))
    assert content["strategies"]["brute-force"]["evaluations_to_reach"]["1"] == [None, None, None]
    assert {path.name for path in tmp_path.iterdir()} == {"comparison.json", "comparison.csv"}


def test_a_config_of_the_lab_is_a_task():
    import tomllib

    config = load_config(tomllib.loads(example_text("jsc-tiny")))
    problem = load_problem(config)
    found = compare(problem, "brute-force,random", seeds=2, budget=200)
    assert (found.size, found.budget, found.truth) == (18, 18, "space")
    assert contest_of(problem).configured.name == "brute-force"
    assert all((outcome.final == 1.0).all() for outcome in found.outcomes)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in STRATEGIES if name not in ("cmaes", "gp", "gradient")])
def test_every_strategy_can_be_compared(name):
    found = _compare(name, seeds=2)
    assert (found.outcomes[0].final > 0).all()
