"""The whole front of an additive model, by dynamic programming over the decisions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray

MOST_KEPT = 400  # partial sums after each decision, evenly spread along their front


def planned_front(costs: Sequence[FloatArray], damages: Sequence[FloatArray]) -> IntArray:
    """The candidates [F, D] whose sums of cost and damage no other dominates, cheapest first.

    costs, damages: of the choices of each decision, [choices] each. Exact up to MOST_KEPT partial sums on
    the front of the decisions so far; beyond that, these are thinned.
    """
    cost, damage = np.zeros(1), np.zeros(1)
    rows: IntArray = np.zeros((1, 0), dtype=np.int64)
    for own_cost, own_damage in zip(costs, damages, strict=True):
        count = len(own_cost)
        costs_now = (cost[:, None] + own_cost).ravel()
        damages_now = (damage[:, None] + own_damage).ravel()
        kept = _thinned(costs_now, damages_now, _front(costs_now, damages_now))
        rows = np.column_stack([rows[kept // count], kept % count])
        cost, damage = costs_now[kept], damages_now[kept]
    return rows


def _front(cost: FloatArray, damage: FloatArray) -> IntArray:
    """The numbers of the sums that none dominates, cheapest first."""
    order = np.lexsort((damage, cost))
    least = np.minimum.accumulate(damage[order])
    better = np.concatenate([[True], damage[order][1:] < least[:-1]])
    front: IntArray = order[better]
    return front


def _thinned(cost: FloatArray, damage: FloatArray, front: IntArray) -> IntArray:
    """At most MOST_KEPT of a front, evenly along it, damages taken as logarithms."""
    if len(front) <= MOST_KEPT:
        return front
    along = [_scaled(cost[front]), _scaled(np.log(damage[front] + 1e-12))]
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*(np.diff(axis) for axis in along)))])
    wanted = np.linspace(0, length[-1], MOST_KEPT)
    kept: IntArray = front[np.unique(np.searchsorted(length, wanted).clip(0, len(front) - 1))]
    return kept


def _scaled(values: FloatArray) -> FloatArray:
    return np.asarray((values - values.min()) / max(float(np.ptp(values)), 1e-300))
