"""What single changes do to samples, looked at before anything is proposed, on some of the samples."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from widthwise.core.arrays import BoolArray, FloatArray, IntArray
from widthwise.metrics.quality.follows import Follows
from widthwise.spaces.space import Space
from widthwise.strategies.frontier.design import ends
from widthwise.strategies.frontier.planned import planned_front
from widthwise.strategies.protocol import CostFunction, FewMargins

MOST_PROBED = 400  # candidates
MOST_PLANNED = 3  # fronts, where there are several exact costs


@dataclass(frozen=True, eq=False)
class Probes:
    """Candidates [n, D] with values [n, s] of samples, which are those at `columns` [s] of all values."""

    rows: IntArray
    values: FloatArray
    columns: IntArray

    def part_of(self, follows: Follows) -> tuple[IntArray, Follows]:
        """Which of the columns a figure follows from, [t], and how it does from these alone."""
        counted = np.flatnonzero(follows.shares[self.columns])
        shares = follows.shares[self.columns[counted]]
        return counted, replace(follows, shares=shares * (follows.shares.sum() / shares.sum()))


def probed(space: Space, costs: CostFunction | None, few: FewMargins) -> Probes | None:
    """The dearest candidate and every single change of it, of many choices some evenly spread.

    None where the dearest fails.
    """
    _, high = ends(space, costs)
    columns, choices = space.every_choice
    others = np.flatnonzero(choices != high[columns])
    if len(others) >= MOST_PROBED:
        each = max(1, MOST_PROBED // len(space.decisions))
        others = np.concatenate([_spread(others[columns[others] == d], each) for d in np.unique(columns)])
    rows = np.concatenate([high[None], space.variants(high, others)])
    values, told = few(rows)
    good: BoolArray = np.asarray(np.isfinite(values).all(axis=1))
    if not good[0]:
        return None
    return Probes(rows[good], values[good], told)


def planned(space: Space, costs: CostFunction, probes: Probes) -> IntArray:
    """Candidates [F, D] on the front of cost and damage, as far as both add up over the decisions.

    The damage of a change is the mean square by which it changes samples' values: of independent errors the
    squares add up. Costs that don't add up are near enough to plan by; what is proposed has its exact ones.
    """
    base = probes.rows[0]
    damages = _damages(space, probes)
    known = costs(space.variants(base))
    known = known[:, np.isfinite(known).all(axis=0)]
    columns, _ = space.every_choice
    reach = np.ptp(known, axis=0)
    axes = list((known / np.where(reach > 0, reach, 1)).T[:MOST_PLANNED])
    if len(axes) > 1:
        axes.append(np.sum(axes, axis=0))
    fronts = [planned_front([(-axis)[columns == d] for d in range(len(damages))], damages) for axis in axes]
    return np.unique(np.concatenate([base[None], *fronts]), axis=0)


def _damages(space: Space, probes: Probes) -> list[FloatArray]:
    """Of the choices of each decision; between those that were probed it is filled in."""
    base = probes.rows[0]
    found = [np.full(count, np.nan) for count in space.cardinalities.tolist()]
    for decision, choice in enumerate(base.tolist()):
        found[decision][choice] = 0.0
    squares = ((probes.values[1:] - probes.values[0]) ** 2).mean(axis=1)
    for row, square in zip(probes.rows[1:], squares.tolist(), strict=True):
        decision = int(np.flatnonzero(row != base)[0])
        found[decision][row[decision]] = square
    return [_filled(damage) for damage in found]


def _filled(damage: FloatArray) -> FloatArray:
    known = np.flatnonzero(np.isfinite(damage))
    return np.asarray(np.interp(np.arange(len(damage)), known, damage[known]))


def _spread(numbers: IntArray, most: int) -> IntArray:
    kept = np.unique(np.linspace(0, len(numbers) - 1, min(len(numbers), most)).round().astype(np.int64))
    return numbers[kept]
