"""What a search optimises: scaled metrics, as several objectives or as their sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import UserError, unknown
from widthwise.metrics.catalogue import Direction
from widthwise.metrics.goals.objective import Objective


def scaled(metrics: Mapping[str, FloatArray], scales: Mapping[str, float]) -> dict[str, FloatArray]:
    """scale * metric for every metric that has a scale, [K] each: what the lab calls scaled_metrics."""
    missing = [name for name in scales if name not in metrics]
    if missing:
        raise unknown("metric among the results", missing[0], metrics)
    return {name: scale * metrics[name] for name, scale in scales.items()}


def objective_values(
    metrics: Mapping[str, FloatArray],
    objectives: Sequence[Objective],
    *,
    summed: bool = False,
    direction: Direction | None = None,
) -> FloatArray:
    """What a strategy is told, [K, m], all to be maximised: minimised columns change sign. NaN stays NaN.

    As the lab's system has it (`sum_scaled_metrics`, `[search.strategy.setup]`):

    - not summed: an objective for each metric, scale * metric in the metric's direction. A negative scale
      turns the direction round.
    - summed: one objective, the sum of scale * metric, in the `direction` of the setup. The metrics' own
      directions have no say in it: in a sum that is maximised, a metric that should be small needs a negative
      scale (accuracy.scale = 1.0, average_bitwidth.scale = -0.2). `sum_conflicts` finds those that lack it.
    """
    columns = list(scaled(metrics, {o.name: o.scale for o in objectives}).values())
    if not columns:
        raise UserError("no objective: [search.strategy.metrics] must name at least one metric")
    if summed:
        columns, signs = [sum(columns[1:], columns[0])], [_sign(_sum_direction(direction))]
    else:
        signs = [_sign(objective.direction) for objective in objectives]
    values: FloatArray = np.stack(columns, axis=1) * np.array(signs)
    return values


def sum_conflicts(objectives: Sequence[Objective], direction: Direction | None) -> list[str]:
    """A line for each metric that the sum pulls against its own direction: what happens, what to write."""
    whole = _sum_direction(direction)
    return [
        f"{o.name} should be {o.direction}d, but scale = {o.scale:g} in a sum that is {whole}d does the"
        f" opposite; set {o.name}.scale = {-o.scale:g}"
        for o in objectives
        if _sign(o.direction) * _sign(whole) * o.scale < 0
    ]


def _sum_direction(direction: Direction | None) -> Direction:
    if direction not in ("maximize", "minimize"):
        raise UserError(
            f"sum_scaled_metrics = true needs setup.direction = maximize or minimize, not {direction!r}"
        )
    return direction


def _sign(direction: Direction) -> float:
    return 1.0 if direction == "maximize" else -1.0
