"""What is explained of a run equals what evaluating by hand gives, and is kept as it was found."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import widthwise as ww
from helpers.mixing import config, trained
from widthwise.evaluators.protocol import Results
from widthwise.study.explanation import Explanation, read_explanation


def searched(folder: Path, strategy: str = "frontier", **changes: Any) -> ww.Study:
    settings = config(strategy, n_trials=40)
    settings["search"]["search_space"]["setup"] |= changes
    return ww.search(*trained(), settings, out=folder, page=False)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[ww.Study, Explanation]:
    study = searched(tmp_path_factory.mktemp("explained") / "run")
    return study, study.explain(data=trained()[1])


@cache
def judge() -> ww.Evaluator:
    model, data = trained()
    graph = ww.Graph(model)
    seed = config("random")["search"]["search_space"]["seed"]
    space = ww.QuantisationSpace(graph, by="type", seed=seed)
    return ww.Evaluator(graph, space, data, metrics=["accuracy", "model_size"])


def accuracy(candidate: np.ndarray) -> float:
    return float(judge()(candidate[None])["accuracy"][0])


def test_changes_of_the_pick_and_their_pairs_are_exact(found: tuple[ww.Study, Explanation]) -> None:
    study, told = found
    base = told.base("pick")
    assert base is not None
    candidate = np.array(study.trial(told.pick).candidate)
    space = study.record.space
    assert len(base.changes) == (space.cardinalities - 1).sum()
    names = [decision.name for decision in space.decisions]

    def changed(*numbers: int) -> np.ndarray:
        row = candidate.copy()
        for number in numbers:
            change = base.changes[number]
            column = names.index(change.name)
            assert space.decisions[column].choices[row[column]] == change.before
            row[column] = space.decisions[column].choices.index(change.after)
        return row

    own = accuracy(candidate)
    for number in (0, 7, len(base.changes) - 1):
        change = base.changes[number]
        assert change.metrics["accuracy"] == accuracy(changed(number))
        assert change.differences["accuracy"] == pytest.approx(accuracy(changed(number)) - own)
    assert base.pairs is not None
    table = np.array(base.pairs["accuracy"], dtype=float)
    assert np.array_equal(table, table.T)
    for a, b in ((0, 1), (1, 5)):
        both = accuracy(changed(base.moves[a], base.moves[b])) - own
        alone = [accuracy(changed(base.moves[at])) - own for at in (a, b)]
        assert table[a, a] == pytest.approx(alone[0])
        assert table[a, b] == pytest.approx(both - sum(alone))


def test_a_tensor_alone_is_what_a_network_with_that_format_alone_has(
    found: tuple[ww.Study, Explanation],
) -> None:
    _, told = found
    base = told.base("float")
    assert base is not None
    model, data = trained()
    assert base.metrics["accuracy"] == ww.evaluate(model, data, metrics=["accuracy"])["accuracy"]
    graph = ww.Graph(model)
    for change in (base.changes[0], base.changes[9], base.changes[-1]):
        width = int(change.after.removeprefix("fixed<").partition(",")[0])
        layer, _, tensor = change.name.partition("/")
        rule = {"name": ["integer"], f"{tensor}_width": [width, 8], f"{tensor}_frac_width": ["auto-mse"]}
        space = ww.QuantisationSpace(graph, by="name", seed={layer: {"config": rule}})
        row = np.array([[0]]) if len(space.decisions) == 1 else space.at([0])
        alone = ww.Evaluator(graph, space, data, metrics=["accuracy"])(row)["accuracy"][0]
        assert change.metrics["accuracy"] == alone


def test_what_is_put_back_to_float_and_the_pick_have_the_same_base(
    found: tuple[ww.Study, Explanation],
) -> None:
    study, told = found
    assert len(told.restored) == len(study.record.space.decisions)
    base = told.base("pick")
    assert base is not None
    for change in told.restored:
        own = change.metrics["accuracy"] - change.differences["accuracy"]
        assert own == pytest.approx(base.metrics["accuracy"])
        assert change.after == "float"


def test_bargains_are_the_best_rates(found: tuple[ww.Study, Explanation]) -> None:
    _, told = found
    base = told.base("pick")
    assert base is not None
    takes = [base.changes[number].differences for number in told.take]
    assert all(one["model_size"] < 0 for one in takes)
    losing = [one for one in takes if one["accuracy"] < 0]
    rates = [one["model_size"] / one["accuracy"] for one in losing]
    assert rates == sorted(rates, reverse=True)
    assert takes[len(takes) - len(losing) :] == losing
    assert all(base.changes[number].differences["accuracy"] > 0 for number in told.give)
    assert base.changes[told.take[0]].error is not None


def test_the_front_is_compared_at_equal_cost_on_both_parts(found: tuple[ww.Study, Explanation]) -> None:
    study, told = found
    assert [one.part for one in told.mixing] == ["val", "test"]
    assert [one.samples for one in told.mixing] == [362, 357]
    for mixing in told.mixing:
        assert {one.baselines for one in mixing.against} == {"uniform", "naive"}
        for against in mixing.against:
            met = [one for one in against.meetings if one.trial is not None]
            assert met
            for one in met:
                trial = study.trial(one.trial)
                assert trial.metrics["model_size"] <= one.cost
                assert one.better == pytest.approx(one.front_quality - one.quality)
            assert against.better == pytest.approx(np.mean([one.better for one in met]))
            assert 0 <= against.hypervolume <= 1
    uniform = told.mixing[0].against[0]
    assert all(one.better >= 0 for one in uniform.meetings if one.trial is not None)  # it began with them


def test_where_nothing_is_mixed_the_answer_is_no(tmp_path: Path) -> None:
    """Of a space whose layers and tensors are all alike, the front is of uniform schemes."""
    settings = config("brute-force")
    rule = {"name": ["integer"], "weight_width": [2, 3, 4, 5, 6, 8], "weight_frac_width": ["auto-mse"]}
    settings["search"]["search_space"]["seed"] = {"linear": {"config": rule}}
    settings["search"]["search_space"]["setup"]["tie"] = True
    study = ww.search(*trained(), settings, out=tmp_path / "run", page=False)
    told = study.explain(data=trained()[1])
    uniform = told.mixing[-1].against[0]
    assert (uniform.baselines, uniform.verdict, uniform.better, uniform.error) == ("uniform", "equal", 0, 0)
    assert uniform.hypervolume == pytest.approx(told.mixing[-1].hypervolume)


def test_the_next_search_has_what_the_front_used(found: tuple[ww.Study, Explanation], tmp_path: Path) -> None:
    study, told = found
    assert study.folder is not None
    assert told.advice.config == (study.folder / "next.toml").read_text()
    model, data = trained()
    again = ww.search(model, data, study.folder / "next.toml", out=tmp_path / "run", page=False)
    used = {one.name: set(one.choices) - set(one.never) for one in told.advice.decisions}
    missing = {one.name: set(one.missing) for one in told.advice.decisions}
    decisions = {decision.name: set(decision.choices) for decision in again.record.space.decisions}
    for name, choices in decisions.items():
        assert choices == used[name] | missing[name]
    front = np.array([tie.trial.candidate for tie in study.ties])
    for column, one in enumerate(told.advice.decisions):
        assert one.used == tuple(np.bincount(front[:, column], minlength=len(one.choices)))


def test_it_is_kept_as_it_was_found(found: tuple[ww.Study, Explanation]) -> None:
    study, told = found
    assert read_explanation(study.folder) == study.explanation
    assert study.explanation is not None
    assert study.explanation.as_json() == told.as_json()
    assert study.folder is not None
    kept = json.loads((study.folder / "explain.json").read_text())
    assert kept["version"] == 1
    (study.folder / "explain.json").write_text("{")
    with pytest.raises(ww.UserError, match="is broken; run widthwise explain again"):
        _ = study.explanation
    told.write(study.folder)


def test_the_folder_alone_tells_the_same(found: tuple[ww.Study, Explanation]) -> None:
    study, told = found
    assert study.folder is not None
    assert replace(ww.explain(study.folder), seconds=0) == replace(told, seconds=0)


def test_without_time_no_pairs(found: tuple[ww.Study, Explanation]) -> None:
    study, _ = found
    told = study.explain(data=trained()[1], seconds=0)
    assert any("pairs" in line for line in told.not_told)
    told = study.explain(data=trained()[1], pairs=0)
    assert told.not_told == ()
    assert all(one.pairs is None for one in told.around)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda study: study.explain(pick="best: speed"), "speed"),
        (lambda study: study.explain(pairs=-1), "give 0 or more"),
    ],
)
def test_what_cannot_be_explained_is_refused(
    found: tuple[ww.Study, Explanation], spoil: Callable[[ww.Study], Any], message: str
) -> None:
    with pytest.raises(ww.UserError, match=message):
        spoil(found[0])


def test_an_evaluator_of_ones_own_is_not_replaced(tmp_path: Path) -> None:
    def mine(candidates: np.ndarray) -> Results:
        size = candidates.sum(axis=1).astype(float)
        return Results({"accuracy": np.sqrt(size) / 10, "model_size": size})

    study = ww.search(
        *trained(), config("random", n_trials=8), out=tmp_path / "run", evaluator=mine, page=False
    )
    with pytest.raises(ww.UserError, match="given from Python, which a run doesn't keep"):
        study.explain(data=trained()[1])
