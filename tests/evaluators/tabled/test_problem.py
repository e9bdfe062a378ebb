"""A table as Optuna's problem: the contract of OptunaHub's base class, kept with and without it."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import optunahub
import pytest

import widthwise as ww
from helpers.metrics import metrics_of
from helpers.places import ROOT

HUB = ROOT / "benchmarks" / "hub"
DECISIONS = (ww.Decision("a/width", (2, 4, 8)), ww.Decision("b/name", ("integer", "log")))
VALUES = {"accuracy": np.arange(6) / 10, "model_size": np.array([1.0, 2, 4, 1.5, 2, 3])}
TABLE = ww.SearchTable("mine", DECISIONS, VALUES, {each.name: each for each in metrics_of(*VALUES)})


class OfHub(optunahub.benchmarks.BaseProblem):  # type: ignore[misc]
    """The same by OptunaHub's own base class, from what a problem says of itself."""

    def __init__(self, problem: ww.TableProblem) -> None:
        self.problem = problem

    @property
    def search_space(self) -> dict[str, Any]:
        """The problem's."""
        return self.problem.search_space

    @property
    def directions(self) -> list[Any]:
        """The problem's."""
        return self.problem.directions

    def evaluate(self, params: dict[str, Any]) -> Any:
        """The problem's."""
        return self.problem.evaluate(params)


def searched(problem: Any) -> list[tuple[Any, Any]]:
    """Parameters and values of a short search."""
    study = optuna.create_study(directions=problem.directions, sampler=optuna.samplers.TPESampler(seed=3))
    study.optimize(problem, n_trials=25)
    return [(trial.params, trial.values) for trial in study.trials]


def test_a_call_is_what_the_base_class_of_optunahub_makes_of_it() -> None:
    problem = ww.TableProblem(TABLE)
    assert searched(problem) == searched(OfHub(problem))


def test_parameters_are_indices_of_choices() -> None:
    problem = ww.TableProblem(TABLE, {"accuracy": "minimize", "model_size": "minimize"})
    params = {"a/width": 2, "b/name": 1}
    assert problem.chosen(params) == {"a/width": 8, "b/name": "log"}
    assert problem.evaluate(params) == (0.5, 3.0)
    assert [way.name for way in problem.directions] == ["MINIMIZE", "MINIMIZE"]
    kinds = {name: type(found).__name__ for name, found in problem.search_space.items()}
    assert kinds == {"a/width": "IntDistribution", "b/name": "CategoricalDistribution"}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"a/width": 1}, "parameters differ in 'b/name'"),
        ({"a/width": 1, "b/name": 0, "c": 1}, "parameters differ in 'c'"),
        ({"a/width": 3, "b/name": 0}, "a/width = 3; give the index of one of its 3 choices"),
        ({"a/width": -1, "b/name": 0}, "a/width = -1"),
        ({"a/width": 0.5, "b/name": 0}, "a/width = 0.5"),
        ({"a/width": "x", "b/name": 0}, "a/width = 'x'"),
    ],
)
def test_other_parameters_are_refused(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ww.UserError, match=said):
        ww.TableProblem(TABLE).evaluate(params)


def test_the_package_for_the_hub_loads_as_the_hub_loads_it() -> None:
    module = optunahub.load_local_module("benchmarks/mixed_precision", registry_root=str(HUB))
    problem = module.Problem("jets", ("accuracy", "luts"))
    assert isinstance(problem, optunahub.benchmarks.BaseProblem)
    study = optuna.create_study(directions=problem.directions, sampler=optuna.samplers.NSGAIISampler(seed=0))
    study.optimize(problem, n_trials=60)
    front = {tuple(trial.values) for trial in study.best_trials}
    values = np.stack([problem.table["accuracy"], problem.table["luts"]], axis=1)
    assert front <= {tuple(row) for row in values.tolist()}
