"""A table as a problem for Optuna: the contract of OptunaHub's benchmarks, without needing optunahub."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from widthwise.core.errors import UserError
from widthwise.evaluators.tabled.reading import load_table
from widthwise.evaluators.tabled.table import USUAL, Objectives, SearchTable

if TYPE_CHECKING:
    from pathlib import Path

    from optuna.distributions import BaseDistribution
    from optuna.study import StudyDirection
    from optuna.trial import Trial


class TableProblem:
    """Minimise and maximise metrics of a table by any sampler: `study.optimize(problem, n_trials=100)`.

    A parameter is the index of a decision's choice: an integer where choices are numbers in order, else a
    category. `search_space`, `directions`, `evaluate` and a call with a trial are as
    `optunahub.benchmarks.BaseProblem` has them. Looking up takes microseconds.

    Args:
        table: a SearchTable, or what `load_table` finds.
        objectives: names of metrics, each in its own direction, or names to directions.
    """

    def __init__(
        self,
        table: SearchTable | str | Path = "jets",
        objectives: Objectives = USUAL,
    ) -> None:
        self.table = table if isinstance(table, SearchTable) else load_table(table)
        self._aim = self.table.aim(objectives)

    @property
    def metric_names(self) -> list[str]:
        """The objectives, in the order of the values."""
        return list(self._aim.names)

    @property
    def search_space(self) -> dict[str, BaseDistribution]:
        """Names of the decisions to distributions over the indices of their choices."""
        from optuna.distributions import CategoricalDistribution, IntDistribution

        return {
            decision.name: IntDistribution(0, len(decision.choices) - 1)
            if decision.ordered
            else CategoricalDistribution(tuple(range(len(decision.choices))))
            for decision in self.table.decisions
        }

    @property
    def directions(self) -> list[StudyDirection]:
        """Of the objectives."""
        from optuna.study import StudyDirection

        return [StudyDirection[way.upper()] for way in self._aim.directions.values()]

    def chosen(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """What the parameters choose, as `layer0/weight_width` = 4."""
        return self.table.space.chosen(self._candidate(params))

    def evaluate(self, params: Mapping[str, Any]) -> tuple[float, ...]:
        """The objectives of one candidate in their own directions; NaN where it failed, as Optuna has it.

        Raises UserError for parameters that are not those of the search space.
        """
        found = self.table(self._candidate(params)[None])
        return tuple(float(found[name][0]) for name in self._aim.names)

    def evaluate_constraints(self, params: Mapping[str, Any]) -> dict[str, float]:
        """There are none."""
        del params
        return {}

    def __call__(self, trial: Trial) -> tuple[float, ...]:
        """The objectives of what a trial of Optuna proposes."""
        from optuna.distributions import IntDistribution

        params: dict[str, Any] = {}
        for name, distribution in self.search_space.items():
            if isinstance(distribution, IntDistribution):
                params[name] = trial.suggest_int(name, distribution.low, distribution.high)
            else:
                params[name] = trial.suggest_categorical(name, distribution.choices)  # type: ignore[attr-defined]
        return self.evaluate(params)

    def _candidate(self, params: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
        space = self.table.space
        names = [decision.name for decision in space.decisions]
        if set(params) != set(names):
            odd = next(iter(sorted(set(params) ^ set(names))))
            raise UserError(f"table {self.table.name}: parameters differ in {odd!r}; give {', '.join(names)}")
        for decision in space.decisions:
            index, count = params[decision.name], len(decision.choices)
            if isinstance(index, bool) or index not in range(count):
                raise UserError(
                    f"table {self.table.name}: {decision.name} = {index!r}; give the index of one of its "
                    f"{count} choices, from 0"
                )
        return np.array([int(params[name]) for name in names], dtype=np.int64)
