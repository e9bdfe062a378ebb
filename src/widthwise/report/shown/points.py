"""The trials of a study as points that can be drawn: all of few, of many the outline and a sample."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from widthwise.metrics.goals.constraints import feasible
from widthwise.metrics.goals.pareto import nondominated

if TYPE_CHECKING:
    from widthwise.core.arrays import BoolArray, FloatArray, IntArray
    from widthwise.report.shown.axes import Axis
    from widthwise.study.store import Block, StudyRecord

MOST_POINTS = 3_000
MOST_CHOICES = 400_000  # of all points together: pages stay small where there are many decisions
MOST_OUTLINE = 6  # metrics whose pairs have their outline kept


@dataclass(frozen=True)
class Points:
    """Trials that succeeded: numbers [k] ascending, candidates [k, D], values [k, A] by axis.

    within: which are within the bounds, [k].
    total: how many such trials there are, of which these are a part.
    """

    numbers: IntArray
    candidates: IntArray
    values: FloatArray
    within: BoolArray
    total: int

    @property
    def complete(self) -> bool:
        """Whether all are here."""
        return len(self.numbers) == self.total


def points_of(
    record: StudyRecord, block: Block, axes: Sequence[Axis], kept: Iterable[int], *, most: int = MOST_POINTS
) -> Points:
    """The points of a block; of many the trials `kept`, the outline of each pair of axes, and some others.

    The outline is exact: what no other trial exceeds in any of the four directions of a pair, so that the
    front of two metrics is there whichever they are. Others are spread evenly over the search.
    """
    values = block.metrics[:, [axis.column for axis in axes]]
    fine = ~np.isnan(values).all(axis=1) if len(axes) else np.zeros(len(values), dtype=bool)
    if block.reasons:
        fine &= ~np.isin(block.numbers, list(block.reasons))
    rows = np.flatnonzero(fine)
    most = max(1, min(most, MOST_CHOICES // max(1, len(record.space.decisions))))
    if len(rows) > most:
        inside = np.isin(block.numbers[rows], list(kept))
        inside[_outline(values[rows][:, :MOST_OUTLINE])] = True
        room = most - int(inside.sum())
        rest = np.flatnonzero(~inside)
        if room > 0 and len(rest):
            inside[rest[np.linspace(0, len(rest) - 1, min(room, len(rest))).astype(int)]] = True
        total, rows = len(rows), rows[inside]
    else:
        total = len(rows)
    columns = dict(zip(record.columns, block.metrics[rows].T, strict=True))
    constraints = record.settings.constraints
    within = feasible(constraints, columns) if constraints and len(rows) else np.ones(len(rows), dtype=bool)
    return Points(block.numbers[rows], block.candidates[rows], values[rows], within, total)


def _outline(values: FloatArray) -> IntArray:
    """The rows of [n, A] that nothing exceeds in a pair of columns; one of those with equal figures."""
    found: list[IntArray] = []
    for first, second in combinations(range(values.shape[1]), 2):
        pair = values[:, [first, second]]
        known = np.flatnonzero(~np.isnan(pair).any(axis=1))
        _, once = np.unique(pair[known], axis=0, return_index=True)
        rows = known[once]
        corners = ((1, 1), (1, -1), (-1, 1), (-1, -1))
        found += [rows[nondominated(pair[rows] * np.array(signs))] for signs in corners]
    return np.unique(np.concatenate(found)) if found else np.arange(0)
