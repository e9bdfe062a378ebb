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

MOST_POINTS = 3_000  # that are all drawn; of more half as many, as each costs a browser's time
FEWEST_OTHERS = 0.1  # share of them beside the front and the outlines, however many these are
MOST_CHOICES = 400_000  # of all points together: pages stay small where there are many decisions
MOST_FRONT = 500  # points of a pair of figures
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

    The outline of a pair is its front (up to MOST_FRONT points) and its convex hull, both exact. Others are
    spread evenly over the search.
    """
    values = block.metrics[:, [axis.column for axis in axes]]
    fine = ~np.isnan(values).all(axis=1) if len(axes) else np.zeros(len(values), dtype=bool)
    if block.reasons:
        fine &= ~np.isin(block.numbers, list(block.reasons))
    rows = np.flatnonzero(fine)
    most = max(1, min(most, MOST_CHOICES // max(1, len(record.space.decisions))))
    if len(rows) > most:
        inside = np.isin(block.numbers[rows], list(kept))
        inside[_outline(values[rows], axes)] = True
        room = max(most // 2 - int(inside.sum()), int(FEWEST_OTHERS * most))
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


def _outline(values: FloatArray, axes: Sequence[Axis]) -> IntArray:
    """The rows of [n, A] on the front of a pair of axes or its convex hull, one of those that are equal."""
    found: list[IntArray] = [np.arange(0)]
    for first, second in combinations(range(min(values.shape[1], MOST_OUTLINE)), 2):
        pair = values[:, [first, second]]
        known = np.flatnonzero(np.isfinite(pair).all(axis=1))
        if not len(known):
            continue
        better = np.stack([axes[first].better(pair[known, 0]), axes[second].better(pair[known, 1])], axis=1)
        front = known[nondominated(better)]
        _, once = np.unique(pair[front], axis=0, return_index=True)
        found += [_evenly(front[once], MOST_FRONT), known[_hull(pair[known])]]
    return np.unique(np.concatenate(found))


def _evenly(rows: IntArray, most: int) -> IntArray:
    """At most so many, with both ends: a front of more, as of two costs that are one, looks the same."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]


def _hull(points: FloatArray) -> IntArray:
    """The rows of [n, 2] at the corners of the convex hull; the extremes where all lie on a line."""
    from scipy.spatial import ConvexHull, QhullError

    ends = np.concatenate([points.argmin(axis=0), points.argmax(axis=0)])
    if len(points) < 3:
        return ends
    span = np.ptp(points, axis=0)
    try:
        corners: IntArray = ConvexHull(points / np.where(span > 0, span, 1.0)).vertices
    except QhullError:
        return ends
    return np.concatenate([ends, corners])
