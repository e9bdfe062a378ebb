"""Measuring candidates in a search: only those that could join the front, each structure once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from widthwise.core.arrays import BoolArray, FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.evaluators.protocol import UNMEASURED, Evaluate, Results
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.goals.constraints import Constraint, feasible
from widthwise.metrics.goals.pareto import Front
from widthwise.metrics.measurer import Measurer, Structure
from widthwise.study.front import FrontRows

UPPER = ("<=", "<")


@dataclass(frozen=True, eq=False)
class Measuring:
    """An evaluator that goes on to measure what it evaluated, by the front as it is at each call.

    names: what the measurer gives. A candidate is measured where it could join the front if it were as fast
    as the slowest of the structures below its own. One that could not is told as UNMEASURED where an
    objective has to be measured; figures of its structure that are known are told all the same.
    """

    evaluate: Evaluate
    measurer: Measurer
    names: Sequence[str]
    aim: Aim
    constraints: Sequence[Constraint]
    front: FrontRows

    def __call__(self, candidates: IntArray) -> Results:
        """The metrics of candidates [K, D], measured ones among them: NaN where nothing was measured."""
        results = self.evaluate(candidates)
        batch = _Batch(self, candidates, results)
        while (row := batch.next_row()) is not None:
            try:
                self.measurer.measure(batch.structure(row), candidates[row])
            except UserError as error:
                batch.failures[row] = str(error)
        columns = {**results.columns, **batch.figures()}
        failures = dict(results.failures) | batch.failures
        if set(self.names) & set(self.aim.names):
            left = np.isnan(np.stack([columns[name] for name in self.names])).any(axis=0)
            rows = [row for row in np.flatnonzero(left).tolist() if row not in results.pruned]
            failures = dict.fromkeys(rows, UNMEASURED) | failures
        return Results(columns, dict(sorted(failures.items())), results.pruned, results.causes)


class _Batch:
    """The candidates of one call; `failures` by row, of those that could not be measured."""

    def __init__(self, measuring: Measuring, candidates: IntArray, results: Results) -> None:
        table = measuring.measurer.structures(candidates)
        distinct, which = np.unique(table, axis=0, return_inverse=True)
        self._of, self._results = measuring, results
        self._structures = [tuple(row) for row in distinct.tolist()]
        self._which = which.reshape(-1)  # by row: of the distinct structures
        self.failures: dict[int, str] = {}

    def structure(self, row: int) -> Structure:
        """That of a row."""
        found: Structure = self._structures[self._which[row]]
        return found

    def figures(self) -> dict[str, FloatArray]:
        """The measured metrics [K], NaN where they are not known."""
        nothing = dict.fromkeys(self._of.names, math.nan)
        known = self._of.measurer.known
        rows = [known.get(each, nothing) for each in self._structures]
        return {name: np.array([row[name] for row in rows])[self._which] for name in self._of.names}

    def next_row(self) -> int | None:
        """The candidate to measure next: of those that could join the front, that of the least structure."""
        rows = np.flatnonzero(self._may_join())
        if not len(rows):
            return None
        sums = np.array([sum(each) for each in self._structures])[self._which]
        return int(rows[np.argmin(sums[rows])])

    def _may_join(self) -> BoolArray:
        """Which candidates that are not measured could be on the front, [K], by the best that they can be."""
        aim, figures = self._of.aim, self.figures()
        measured = ~np.isnan(next(iter(figures.values())))
        metrics = {**self._results.columns, **self._hopes(figures)}
        values = aim.values({name: metrics[name] for name in aim.names})
        worthy = self._within(metrics) & ~np.isnan(values).any(axis=1)
        worthy[[*self._results.failures, *self._results.pruned, *self.failures]] = False
        found = worthy & ~measured
        if aim.summed or not found.any():
            return found
        here = Front(values.shape[1])
        here.update(values[worthy & measured], np.flatnonzero(worthy & measured))
        for point in [*self._of.front.values, *here.values]:
            found &= ~(point >= values).all(axis=1)
        return found

    def _within(self, metrics: Mapping[str, FloatArray]) -> BoolArray:
        """Which candidates [K] may be within all bounds, if their figures are as good as they can be."""
        names = self._of.names
        bounds = [each for each in self._of.constraints if each.name not in names or each.op in UPPER]
        return feasible(bounds, metrics) if bounds else np.ones(len(self._which), dtype=bool)

    def _hopes(self, figures: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """The measured metrics [K]: as they are known, or the best that they can be."""
        best = self._of.aim.best_unmeasured(len(self._which))
        hopes = {}
        for name, values in figures.items():
            hope = best.get(name, np.zeros(len(values)))
            if (hope == 0).all():  # less of it is better
                hope = np.array(self._greatest_below(name))[self._which]
            hopes[name] = np.where(np.isnan(values), hope, values)
        return hopes

    def _greatest_below(self, name: str) -> list[float]:
        """By distinct structure: the greatest figure of those measured that are nowhere above it."""
        known = self._of.measurer.known
        if not known or not self._of.measurer.ordered:
            return [0.0] * len(self._structures)
        rows, values = np.array(list(known)), np.array([found[name] for found in known.values()])
        return [
            float(values[(rows <= np.array(each)).all(axis=1)].max(initial=0.0)) for each in self._structures
        ]
