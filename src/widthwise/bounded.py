"""Bounds on costs, which are known without evaluating, as a part of a space that strategies keep to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from widthwise.constraints import Constraint, violations
from widthwise.results import HasCosts
from widthwise.space import FloatArray, IntArray, Space
from widthwise.strategies import Strategy
from widthwise.strategies.protocol import KeepsWithin
from widthwise.strategies.within import Within


def within_bounds(space: Space, constraints: Sequence[Constraint], evaluator: object) -> Within | None:
    """The candidates that break no constraint by their costs alone; None where no cost is bounded."""
    if not isinstance(evaluator, HasCosts):
        return None
    costs = evaluator.costs
    known = costs(space.at([0]))
    bounding = [constraint for constraint in constraints if constraint.metric in known]
    if not bounding:
        return None

    def excess(candidates: IntArray) -> FloatArray:
        return violations(bounding, costs(candidates), unknown=0.0)

    return Within(space, excess, bounds=", ".join(map(str, bounding)))


def keep_within(strategy: Strategy, within: Within | None) -> str | None:
    """Tell a fresh strategy of the bounds, if it can keep to them; why nothing is within them, or None."""
    if within is None:
        return None
    if within.nothing is None and isinstance(strategy, KeepsWithin):
        strategy.keep_within(within)
    return within.nothing
