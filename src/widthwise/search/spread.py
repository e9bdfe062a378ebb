"""Some of many trials, evenly over what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from widthwise.metrics.goals.aim import Aim
    from widthwise.study.trials import Trial


def spread_over_costs(trials: Sequence[Trial], aim: Aim, most: int) -> list[Trial]:
    """At most so many, evenly over the costs with both ends, by number."""
    if len(trials) <= most:
        return list(trials)
    costs = [o for o in aim.objectives if o.metric.is_hardware] or list(aim.objectives)
    ordered = sorted(trials, key=lambda trial: trial.metrics[costs[0].name])
    rows = {round(i * (len(ordered) - 1) / max(most - 1, 1)) for i in range(most)}
    return sorted((ordered[row] for row in rows), key=lambda trial: trial.number)
