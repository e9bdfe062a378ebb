"""A space and the metrics of each of its candidates, which is an evaluator that only looks up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError, unknown
from widthwise.core.screen import html_table, one_screen
from widthwise.evaluators.protocol import Pace, Results
from widthwise.metrics.catalogue import Direction, Metric
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.goals.objective import Objective
from widthwise.metrics.goals.pareto import nondominated
from widthwise.spaces.space import Decision, Space

Objectives = Sequence[str] | Mapping[str, Direction]
USUAL = ("accuracy", "model_size")  # objectives where none are named
FAILED = "its evaluation failed when the table was made"


@dataclass(frozen=True, eq=False, repr=False)
class SearchTable:
    """Every candidate of a space with its metrics.

    name: as `load_table` finds it, or its file's. decisions: of the space, D of them.
    values: metric name to the values [N] of all candidates, in the order of `space.at`; NaN where evaluating
        failed. metrics: all that is to know of each, by the same names.
    about: what it is of, as written: network, data, licences, versions, how it was made.
    weights: the float network's tensors by name, where they are kept.
    """

    name: str
    decisions: tuple[Decision, ...]
    values: Mapping[str, FloatArray]
    metrics: Mapping[str, Metric]
    about: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    pace: ClassVar[Pace] = Pace(trains=False, affordable=2**16)

    def __post_init__(self) -> None:
        if set(self.values) != set(self.metrics):
            raise UserError(f"table {self.name}: values and metrics have other names; give both of each")
        for name, values in self.values.items():
            if values.shape != (self.space.size,):
                raise UserError(
                    f"table {self.name}: {name} has the shape {values.shape}; give a value for each of the "
                    f"{self.space.size:,} candidates"
                )

    @cached_property
    def space(self) -> Space:
        """The decisions as a space."""
        return Space(self.decisions)

    @cached_property
    def candidates(self) -> IntArray:
        """All of them as choice indices [N, D], in the order of the values."""
        return self.space.at(range(self.space.size))

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the metrics."""
        return tuple(self.values)

    @property
    def describe(self) -> str:
        """How candidates are evaluated."""
        return f"looked up in the table {self.name}"

    def __len__(self) -> int:
        return self.space.size

    def __getitem__(self, metric: str) -> FloatArray:
        if metric not in self.values:
            raise unknown("metric", metric, self.values, where=f"table {self.name}")
        return self.values[metric]

    def __call__(self, candidates: IntArray) -> Results:
        """The metrics of candidates [K, D] of choice indices."""
        rows = np.array(self.space.positions(candidates), dtype=np.int64)
        found = {name: values[rows] for name, values in self.values.items()}
        failed = np.isnan(np.stack(list(found.values()), axis=1)).any(axis=1)
        return Results(found, dict.fromkeys(np.flatnonzero(failed).tolist(), FAILED))

    def costs(self, candidates: IntArray) -> Mapping[str, FloatArray]:
        """The costs among them, which a search knows exactly without evaluating."""
        rows = np.array(self.space.positions(candidates), dtype=np.int64)
        return {
            name: values[rows] for name, values in self.values.items() if self.metrics[name].kind == "cost"
        }

    def aim(self, objectives: Objectives) -> Aim:
        """What is wanted: names of metrics, each in its own direction, or names to directions.

        Raises UserError where a name is not a metric of the table, stands there twice, or none is given.
        """
        wanted = [objectives] if isinstance(objectives, str) else list(objectives)
        if not wanted or len(set(wanted)) < len(wanted):
            raise UserError(f"objectives = {wanted}; give each once, of {', '.join(self.values)}")
        for name in wanted:
            if name not in self.values:
                raise unknown("metric", name, self.values, where=f"table {self.name}")
        ways = dict(objectives) if isinstance(objectives, Mapping) else {}
        return Aim(
            tuple(
                Objective(self.metrics[name], ways.get(name, self.metrics[name].direction)) for name in wanted
            )
        )

    def front(self, objectives: Objectives) -> IntArray:
        """The rows [F] that no other row dominates, by the first objective from its worst to its best.

        Of rows that are equal in all objectives each is there.
        """
        values = self.aim(objectives).values(self.values)
        rows = np.flatnonzero(~np.isnan(values).any(axis=1))
        kept = rows[nondominated(values[rows])]
        found: IntArray = kept[np.argsort(values[kept, 0], kind="stable")]
        return found

    def to_pandas(self) -> Any:
        """A data frame: a row a candidate, what each decision chooses and each metric in columns."""
        import pandas as pd

        chosen = {
            decision.name: np.array(decision.choices)[self.candidates[:, column]]
            for column, decision in enumerate(self.decisions)
        }
        return pd.DataFrame({**chosen, **self.values})

    def __repr__(self) -> str:
        return one_screen([f"{self._title()}:", *(f"  {name}: {text}" for name, text in self._shown())])

    def _repr_html_(self) -> str:
        return html_table(self._title(), ["metric", "values"], self._shown())

    def _title(self) -> str:
        return f"SearchTable {self.name} of {len(self):,} candidates from {len(self.decisions)} decisions"

    def _shown(self) -> list[tuple[str, str]]:
        return [
            (
                name,
                f"{np.nanmin(values):.6g} to {np.nanmax(values):.6g} {self.metrics[name].unit or ''}".strip(),
            )
            for name, values in self.values.items()
        ]
