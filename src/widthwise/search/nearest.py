"""What comes nearest to bounds of cost that nothing meets, before anything is evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widthwise.metrics.goals.constraints import nearest_candidates
from widthwise.study.nearest import NEAREST, Near

if TYPE_CHECKING:
    from widthwise.search.problem import Problem


def nearest_by_cost(problem: Problem) -> list[Near]:
    """The candidates nearest to the bounds by their costs, nearest first; none where some are within them."""
    within = problem.within()
    if within is None or within.nothing is None:
        return []
    closest = within.closest(NEAREST)
    costs = problem.evaluator.costs(closest)
    bounds = [bound for bound in problem.config.search.constraints if bound.name in costs]
    return [
        Near(None, found.misses, problem.space.chosen(closest[found.row]))
        for found in nearest_candidates(bounds, costs, count=NEAREST)
    ]
