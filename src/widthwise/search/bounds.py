"""Bounds on costs, which are known without evaluating, as a part of a space that strategies keep to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from widthwise.core.arrays import BoolArray, FloatArray, IntArray
from widthwise.evaluators.protocol import Evaluator
from widthwise.metrics.goals.constraints import Constraint, violations
from widthwise.search.target import Target
from widthwise.spaces.conditional import Conditional
from widthwise.spaces.space import Space
from widthwise.spaces.within import Within
from widthwise.strategies import Strategy
from widthwise.strategies.protocol import KeepsWithin

CUT_AT_MOST = 10_000  # candidates out of bounds in a row, after which a strategy that learns gives up
OFFERED = 8  # candidates within bounds, to a strategy that finds none


def within_bounds(
    space: Space, constraints: Sequence[Constraint], evaluator: Evaluator, target: Target | None = None
) -> Within | None:
    """The candidates that break no constraint by their costs alone, that the target can write, and that are
    not the same network as another; None where all are such.

    What has to be measured is never known before it is, whatever the evaluator says of it.
    """
    costs = evaluator.costs
    known = costs(space.at([0]))
    bounding = [bound for bound in constraints if bound.name in known and bound.metric.kind != "measured"]
    unwritable = None if target is None else target.reasons
    repeated = space if isinstance(space, Conditional) and space.has_spare else None
    if not bounding and unwritable is None and repeated is None:
        return None

    def excess(candidates: IntArray) -> FloatArray:
        found = np.zeros(len(candidates))
        if bounding:
            found = violations(bounding, costs(candidates), unknown=0.0)
        if repeated is not None:
            found = found + repeated.spare(candidates)
        return found if unwritable is None else found + unwritable(candidates)

    named = [] if unwritable is None or target is None else [f"target = {target.name}"]
    once = [] if repeated is None else ["each network once"]
    said = ", ".join([*map(str, bounding), *named, *once])
    return Within(space, excess, bounds=said, targeted=bool(named))


class Bounds:
    """The bounds of cost of one search, and how long its strategy has been out of them."""

    def __init__(
        self,
        space: Space,
        constraints: Sequence[Constraint],
        evaluator: Evaluator,
        target: Target | None = None,
    ) -> None:
        self.within = within_bounds(space, constraints, evaluator, target)
        self._cut_in_a_row = 0

    def keep(self, strategy: Strategy) -> str | None:
        """Tell a fresh strategy of them, if it can keep to them; why nothing is within them, or None."""
        if self.within is None:
            return None
        if self.within.nothing is None and isinstance(strategy, KeepsWithin):
            strategy.keep_within(self.within)
        return self.within.nothing

    def inside(self, candidates: IntArray) -> BoolArray:
        """Which of candidates [K, D] are within them, [K]."""
        return np.ones(len(candidates), dtype=bool) if self.within is None else self.within(candidates)

    def out_of_reach(self, inside: BoolArray) -> str | None:
        """Why a strategy that learns gives up: so many candidates in a row were out of bounds; else None."""
        self._cut_in_a_row = 0 if inside.any() else self._cut_in_a_row + len(inside)
        if self.within is None or self._cut_in_a_row < CUT_AT_MOST:
            return None
        return f"{self._cut_in_a_row:,} candidates in a row were out of bounds ({self.within.bounds})"

    def starts(self) -> IntArray:
        """A few candidates within bounds, [k, D], for a strategy that finds none by itself."""
        if self.within is None:
            return np.empty((0, 0), dtype=np.int64)
        closest = self.within.closest(OFFERED)
        return closest[self.within(closest)]
