"""Mixing must not lose to uniform: searches begin with the schemes that treat every layer alike."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import widthwise as ww
from helpers.mixing import TRIALS, WIDTHS, config, trained
from widthwise.config import load_config
from widthwise.core.arrays import FloatArray
from widthwise.search.comparing.contest import contest_of
from widthwise.search.comparing.entrants import Entrant
from widthwise.search.limits import Limits
from widthwise.search.problem import load_problem
from widthwise.spaces.uniform import as_rows


def found(study: ww.Study) -> FloatArray:
    return np.array([[trial.metrics["accuracy"], -trial.metrics["model_size"]] for trial in study.front])


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ww.Study]:
    """The whole search by a strategy, once for all tests."""

    @cache
    def run(strategy: str) -> ww.Study:
        return ww.search(
            *trained(), config(strategy), out=tmp_path_factory.mktemp(strategy) / "run", page=False
        )

    return run


def above(study: ww.Study) -> int:
    """How many uniform schemes are better than all of the front."""
    model, data = trained()
    rule = config("random")["search"]["search_space"]["seed"]
    graph = ww.Graph(model)
    space = ww.QuantisationSpace(graph, by="type", seed=rule)
    rows = as_rows(space.uniform, len(space.decisions))
    assert len(rows) == len(WIDTHS)
    results = ww.Evaluator(graph, space, data, metrics=["accuracy", "model_size"])(rows)
    uniform = np.stack([results["accuracy"], -results["model_size"]], axis=1)
    return sum(not (found(study) >= one).all(axis=1).any() for one in uniform)


@pytest.mark.parametrize("strategy", ["random", "local", "frontier", "tpe", "nsga2"])
def test_no_uniform_scheme_is_above_the_front(
    strategy: str, tmp_path: Path, ran: Callable[[str], ww.Study]
) -> None:
    plain = ww.search(*trained(), config(strategy, uniform_first=False), out=tmp_path / "plain", page=False)
    assert above(plain) > 0  # the front loses to schemes that mix nothing
    study = ran(strategy)
    assert above(study) == 0
    assert study.summary.trials == TRIALS


def test_a_search_that_is_resumed_among_them_is_the_same(
    tmp_path: Path, ran: Callable[[str], ww.Study]
) -> None:
    for trials in (3, TRIALS):
        limits = Limits(trials=trials)
        again = ww.search(
            *trained(),
            config("frontier"),
            out=tmp_path / "parts",
            resume=trials > 3,
            limits=limits,
            page=False,
        )
    assert np.array_equal(found(again), found(ran("frontier")))


def test_whether_a_search_began_so_is_what_it_is_known_by(tmp_path: Path) -> None:
    ww.search(*trained(), config("random", n_trials=2), out=tmp_path / "run", page=False)
    with pytest.raises(ww.UserError, match="uniform first: none then, no now"):
        ww.search(
            *trained(), config("random", uniform_first=False), out=tmp_path / "run", resume=True, page=False
        )


def test_enumerations_go_through_what_they_say(tmp_path: Path) -> None:
    study = ww.search(*trained(), config("brute-force", n_trials=3), out=tmp_path / "run", page=False)
    assert sorted(trial.candidate[-1] for trial in study.trials) == [0, 1, 2]


def test_compared_strategies_begin_so_too() -> None:
    model, data = trained()
    problem = load_problem(load_config(config("random")), model=model, data=data)
    made = contest_of(problem).strategy(Entrant("nsga2"), 0)
    assert made.ask(20).tolist() == [list(one.candidate) for one in problem.space.uniform]
