"""Which points are the best trade-offs, and how good a set of them is. All objectives are maximised here.

Values in their metrics' own directions are turned at the door: `maximised`. Rows with NaN (failures) are on
no front, dominate nothing and count for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import moocore
import numpy as np
from numpy.typing import ArrayLike

from widthwise.core.arrays import BoolArray, FloatArray, IntArray
from widthwise.core.errors import UserError

if TYPE_CHECKING:
    from widthwise.metrics.catalogue import Direction


def maximised(values: ArrayLike, directions: Sequence[Direction]) -> FloatArray:
    """The values [n, m] with the signs of minimised objectives turned: more is better in every column."""
    table = as_table(values)
    if table.shape[1] != len(directions):
        raise UserError(f"values have {table.shape[1]} columns but there are {len(directions)} directions")
    signs = np.array([1.0 if direction == "maximize" else -1.0 for direction in directions])
    turned: FloatArray = table * signs
    return turned


def nondominated(values: ArrayLike) -> BoolArray:
    """Which of the points [n, m] no other dominates, [n]: the front.

    A point dominates another that is nowhere better and somewhere worse; equal points don't dominate each
    other and are all kept, as in Optuna's `best_trials`. O(n log n) up to three objectives (Kung et al.
    1975, moocore).
    """
    table = as_table(values)
    mask = np.zeros(len(table), dtype=bool)
    valid = ~np.isnan(table).any(axis=1)
    if valid.any():
        mask[valid] = _nondominated(table[valid])
    return mask


def _nondominated(table: FloatArray) -> BoolArray:
    if table.shape[1] == 1:  # moocore takes two objectives and more
        best: BoolArray = table[:, 0] == table[:, 0].max()
        return best
    mask: BoolArray = moocore.is_nondominated(table, maximise=True, keep_weakly=True)
    return mask


def hypervolume(points: ArrayLike, reference: ArrayLike) -> float:
    """The volume between the reference point [m] and the points [n, m]; 0 where no point is above it.

    The reference is the worst corner: points that are not above it in every objective add nothing. The
    measure of Zitzler and Thiele 1998; computed by moocore.
    """
    corner = np.asarray(reference, dtype=np.float64).reshape(-1)
    table = as_table(points, columns=len(corner))
    if table.shape[1] != len(corner):
        raise UserError(f"points have {table.shape[1]} objectives but the reference point has {len(corner)}")
    above = table[(table > corner).all(axis=1)]  # NaN is above nothing
    if not len(above):
        return 0.0
    above = above[nondominated(above)]
    return float(moocore.hypervolume(above, ref=corner, maximise=True))


def ranks(values: ArrayLike) -> IntArray:
    """How many fronts to take away until each of the points [n, m] is on the front, [n]; -1 for NaN rows.

    Non-dominated sorting (Deb et al. 2002): 0 is the front itself. Equal points share a rank.
    """
    table = as_table(values)
    found = np.full(len(table), -1, dtype=np.int64)
    valid = ~np.isnan(table).any(axis=1)
    if not valid.any():
        return found
    if table.shape[1] == 1:
        found[valid] = np.unique(-table[valid, 0], return_inverse=True)[1]
    else:
        found[valid] = moocore.pareto_rank(table[valid], maximise=True)
    return found


def crowding(values: ArrayLike) -> FloatArray:
    """How much room each of the points [n, m] of one front has about it, [n]; infinite at the ends.

    Per objective the gap between the two neighbours as a share of the range, summed (Deb et al. 2002,
    NSGA-II). An objective in which all points are equal tells nothing and is left out. NaN rows get NaN.
    """
    table = as_table(values)
    distances = np.full(len(table), np.nan)
    valid = ~np.isnan(table).any(axis=1)
    points = table[valid]
    room = np.zeros(len(points))
    for column in points.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]] if len(order) else 0.0
        if span == 0:
            continue
        room[order[[0, -1]]] = np.inf
        room[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    distances[valid] = room
    return distances


def as_table(values: ArrayLike, *, columns: int | None = None) -> FloatArray:
    """The values as float64 [n, m]; UserError for another number of axes. Nothing at all is [0, columns]."""
    table = np.asarray(values, dtype=np.float64)
    if table.size == 0 and table.ndim < 2:
        return table.reshape(0, columns or 1)
    if table.ndim != 2 or table.shape[1] == 0:
        raise UserError(f"values have shape {table.shape}; give a table [points, objectives]")
    return table


class Front:
    """The best trade-offs of all points seen so far, fed a batch at a time.

    `values` [f, m] are its points and `ids` [f] what the caller calls them, in the order in which they came;
    equal points are all kept. Holding the front alone, it takes a stream of any length.
    """

    def __init__(self, objectives: int) -> None:
        self.values: FloatArray = np.empty((0, objectives))
        self.ids: IntArray = np.empty(0, dtype=np.int64)
        self.seen = 0

    def __len__(self) -> int:
        return len(self.ids)

    def update(self, values: ArrayLike, ids: ArrayLike | None = None) -> BoolArray:
        """Take in the points [k, m]; which of them are on the front now, [k].

        Without `ids` points are numbered in the order in which they come, from 0.
        """
        table = as_table(values, columns=self.values.shape[1])
        if table.shape[1] != self.values.shape[1]:
            raise UserError(f"front of {self.values.shape[1]} objectives got points of {table.shape[1]}")
        numbers = np.arange(self.seen, self.seen + len(table)) if ids is None else np.asarray(ids, np.int64)
        self.seen += len(table)
        joined = np.concatenate([self.values, table])
        kept = nondominated(joined)
        held = len(self.values)
        self.values, self.ids = joined[kept], np.concatenate([self.ids, numbers])[kept]
        return kept[held:]

    def hypervolume(self, reference: ArrayLike) -> float:
        """The volume between the reference point [m] and the front."""
        return hypervolume(self.values, reference)
