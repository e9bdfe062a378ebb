"""What candidates are worth, each evaluated once for all strategies: looked up in a table, or remembered."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from widthwise.core.arrays import BoolArray, FloatArray, IntArray
from widthwise.evaluators.guarded import evaluate_guarded
from widthwise.metrics.goals.constraints import feasible
from widthwise.search.comparing.contest import Contest

CHUNK = 32_768  # candidates evaluated at once while the space is enumerated


@dataclass(frozen=True)
class Judged:
    """What K candidates are worth.

    metrics [K, M] in their own directions, and values [K, objectives] to be maximised, NaN where it failed.
    worthy [K]: may be on a front: did not fail and is within all bounds.
    """

    metrics: FloatArray
    values: FloatArray
    worthy: BoolArray


class Judge:
    """Evaluates candidates, none of them twice; `seconds` were spent on `evaluated` of them.

    `failed` of these failed, the first of them for this `reason`.
    The same candidate is worth the same to each strategy, also where an evaluation has noise.
    """

    def __init__(self, contest: Contest) -> None:
        self.contest = contest
        self.seconds = 0.0
        self.evaluated = 0
        self.failed = 0
        self.reason = ""
        self.enumerated = False
        self._rows: FloatArray = np.full((0, len(contest.metrics)), np.nan)
        self._at: dict[int, int] = {}  # position in the space to row

    def enumerate(self, progress: Callable[[int], None] | None = None) -> None:
        """Evaluate the whole space, but for candidates whose costs are out of bounds; those stay NaN."""
        space = self.contest.space
        self._rows = np.full((space.size, len(self.contest.metrics)), np.nan)
        for start in range(0, space.size, CHUNK):
            chunk = space.at(range(start, min(start + CHUNK, space.size)))
            inside = self.contest.inside(chunk)
            self._rows[start + np.flatnonzero(inside)] = self._evaluate(chunk[inside])
            if progress is not None:
                progress(start + len(chunk))
        self.enumerated = True

    @property
    def knows_all(self) -> bool:
        """Whether every candidate of the space was evaluated, so that the true front is known."""
        return self.enumerated or self.evaluated == self.contest.space.size

    def __call__(self, candidates: IntArray) -> Judged:
        """What candidates [K, D] are worth."""
        positions = self.contest.space.positions(candidates)
        if self.enumerated:
            return self.judged(self._rows[positions])
        new = {position: row for row, position in enumerate(positions) if position not in self._at}
        if new:
            rows = self._evaluate(candidates[list(new.values())])
            self._at.update({position: len(self._rows) + i for i, position in enumerate(new)})
            self._rows = np.concatenate([self._rows, rows])
        return self.judged(self._rows[[self._at[position] for position in positions]])

    def everything(self) -> Judged:
        """All that was evaluated so far, of the whole space where it was enumerated."""
        return self.judged(self._rows)

    def judged(self, rows: FloatArray) -> Judged:
        """What the metrics [K, M] are worth."""
        metrics = {name: rows[:, column] for column, name in enumerate(self.contest.columns)}
        values = self.contest.aim.values(metrics)
        finite: BoolArray = np.asarray(np.isfinite(values).all(axis=1), dtype=bool)
        if not self.contest.constraints or not len(rows):
            return Judged(rows, values, finite)
        return Judged(rows, values, finite & feasible(self.contest.constraints, metrics))

    def _evaluate(self, candidates: IntArray) -> FloatArray:
        """The metrics [K, M] of candidates [K, D]; all NaN for those that fail."""
        names = self.contest.columns
        if not len(candidates):
            return np.empty((0, len(names)))
        began = time.perf_counter()
        results = evaluate_guarded(
            self.contest.evaluator, candidates, metrics=names, objectives=self.contest.aim.names
        )
        self.seconds += time.perf_counter() - began
        self.evaluated += len(candidates)
        rows = np.stack([results[name] for name in names], axis=1)
        rows[list(results.failures)] = np.nan
        self.failed += len(results.failures)
        self.reason = self.reason or next(iter(results.failures.values()), "")
        return rows
