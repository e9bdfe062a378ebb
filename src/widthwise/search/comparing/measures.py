"""How good a run is after each evaluation: its share of the hypervolume, and the best of each metric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from widthwise.core.arrays import FloatArray
from widthwise.metrics.goals.pareto import Front, hypervolume, nondominated

MARGIN = 0.01  # how far beyond the worst value the reference point lies, as a share of the range
ROUNDING = 1e-9  # volumes of the same front, added up in another order, differ by less


@dataclass(frozen=True)
class Yardstick:
    """What hypervolumes are measured with: of values scaled to [0, 1] between the worst and the best known.

    worst, span [m]: in values to be maximised. whole: the hypervolume of the front of all that is known.
    front: how many points that has; candidates of equal values are one.
    """

    worst: FloatArray
    span: FloatArray
    whole: float
    front: int

    @property
    def reference(self) -> FloatArray:
        """The reference point [m], in values to be maximised: MARGIN of the range beyond the worst value."""
        point: FloatArray = self.worst - MARGIN * self.span
        return point

    def scaled(self, values: FloatArray) -> FloatArray:
        """Values [n, m] between the worst, 0, and the best, 1."""
        table: FloatArray = (values - self.worst) / self.span
        return table


def yardstick(values: FloatArray) -> Yardstick:
    """From the values [n, m], n > 0, of all candidates known that may be on a front.

    The margin lets the ends of the front count, which have the worst value of another objective. An
    objective in which all are equal has range 1: it then multiplies every volume by the same number.
    """
    worst, best = values.min(axis=0), values.max(axis=0)
    span = np.where(best > worst, best - worst, 1.0)
    scaled = (values - worst) / span
    corner = np.full(len(worst), -MARGIN)
    front = np.unique(values[nondominated(values)], axis=0)
    return Yardstick(worst, span, hypervolume(scaled, corner), len(front))


def share_curve(values: FloatArray, yard: Yardstick, budget: int) -> FloatArray:
    """The share of the whole hypervolume that the first n of the values [k, m] have, [budget], n from 1.

    NaN rows count as evaluations and add nothing. After the last of them the share stays.
    """
    front = Front(values.shape[1])
    corner = np.full(values.shape[1], -MARGIN)
    shares = np.zeros(budget)
    volume = 0.0
    scaled = yard.scaled(values)
    for n, point in enumerate(scaled[:budget]):
        known = np.isnan(point).any() or (front.values >= point).all(axis=1).any()
        if not known:
            front.update(point[None])
            volume = front.hypervolume(corner) / yard.whole
        shares[n] = volume
    shares[len(scaled) :] = volume
    return np.where(np.abs(shares - 1) < ROUNDING, 1.0, shares)


def best_curve(values: FloatArray, budget: int) -> FloatArray:
    """The greatest of the first n of the values [k, M], [budget, M], n from 1; NaN while all are NaN."""
    filled = np.full((budget, values.shape[1]), np.nan)
    filled[: len(values)] = values[:budget]
    best: FloatArray = np.fmax.accumulate(filled, axis=0)
    return best


def evaluations_to_reach(shares: FloatArray, level: float) -> FloatArray:
    """After how many evaluations each of the curves [S, B] is at the level, [S]; NaN where it never is."""
    reached = shares >= level - ROUNDING
    first = reached.argmax(axis=1) + 1.0
    return np.where(reached.any(axis=1), first, np.nan)


def carried(series: FloatArray, budget: int) -> FloatArray:
    """The series [k] lengthened to [budget] by its last value; 0 where it is empty."""
    filled = np.zeros(budget)
    filled[: len(series)] = series[:budget]
    filled[len(series) :] = series[-1] if len(series) else 0.0
    return filled
