"""Successive halving with several objectives: a little training for all, more for those that do best."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.metrics.goals.pareto import as_table, crowding, ranks
from widthwise.training.halving import Halving

__all__ = [
    "BudgetedEvaluation",
    "Halving",
    "HalvingResult",
    "successive_halving",
    "survivors",
]

BudgetedEvaluation = Callable[[IntArray, int], FloatArray]
"""Row numbers [k] and a budget to values [k, objectives], all to be maximised; NaN rows are failures."""


@dataclass(frozen=True, eq=False)
class HalvingResult:
    """values: [k, objectives], NaN without the full budget. stopped: row to the budget it ended with."""

    values: FloatArray
    stopped: Mapping[int, int]


def successive_halving(
    count: int,
    evaluate: BudgetedEvaluation,
    *,
    full: int,
    halving: Halving | None = None,
    rung: Callable[[IntArray, IntArray, int], None] | None = None,
) -> HalvingResult:
    """Evaluates `count` candidates rung by rung; only the survivors of all rungs get the full budget.

    `evaluate` is called once a rung with the rows still in. A failure goes no further and is not counted as
    stopped. rung: told of each which rows it stopped, which go on, and its budget.
    """
    halving = halving or Halving()
    rows = np.arange(count)
    stopped: dict[int, int] = {}
    budgets = halving.budgets(full)
    for budget in budgets[:-1]:
        if len(rows) <= 1:
            break
        values = as_table(evaluate(rows, budget))
        chosen = survivors(values, max(1, len(rows) // halving.reduction))
        failed: NDArray[np.bool_] = np.asarray(np.isnan(values).any(axis=1))
        lost = np.setdiff1d(np.arange(len(rows)), chosen)
        ended = rows[lost[~failed[lost]]]
        stopped |= dict.fromkeys(ended.tolist(), budget)
        rows = rows[chosen]
        if rung is not None:
            rung(ended, rows, budget)
    last = as_table(evaluate(rows, budgets[-1])) if len(rows) else np.empty((0, 1))
    values = np.full((count, last.shape[1]), np.nan)
    values[rows] = last
    return HalvingResult(values, stopped)


def survivors(values: FloatArray, keep: int) -> IntArray:
    """Which `keep` of the points [k, objectives], all to be maximised, go on: by rank, then by room.

    Whole fronts go on while there is room, of the last one those with most room about them (NSGA-II). NaN
    rows never do.
    """
    table = as_table(values)
    found = ranks(table)
    chosen: list[int] = []
    for rank in range(int(found.max(initial=-1)) + 1):
        front = np.flatnonzero(found == rank)
        if len(chosen) + len(front) > keep:
            room = crowding(table[front])
            front = front[np.argsort(-room, kind="stable")[: keep - len(chosen)]]
        chosen += front.tolist()
        if len(chosen) >= keep:
            break
    return np.array(sorted(chosen), dtype=np.int64)
