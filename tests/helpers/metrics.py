"""Metrics by name, as tests name them: objectives, bounds, records."""

from __future__ import annotations

from collections.abc import Mapping

from widthwise.metrics.catalogue import METRICS, Direction, Metric
from widthwise.metrics.goals.constraints import Constraint, Operator
from widthwise.metrics.goals.objective import Objective
from widthwise.metrics.stored import metric_of_name

OF_LOGIC = ("luts", "adders", "latency_cycles")  # which counts don't tell
COSTS = tuple(metric for metric in METRICS.values() if metric.kind == "cost" and metric.name not in OF_LOGIC)


def metrics_of(*names: str) -> tuple[Metric, ...]:
    """Those of these names; one that is not known is of an evaluator of one's own."""
    return tuple(map(metric_of_name, names))


def by_name(*names: str) -> Mapping[str, Metric]:
    """The same by name."""
    return {metric.name: metric for metric in metrics_of(*names)}


def objective(name: str, direction: Direction, scale: float = 1.0) -> Objective:
    """As `[search.strategy.metrics]` gives it."""
    return Objective(metric_of_name(name), direction, scale)


def constraint(name: str, op: Operator, number: float) -> Constraint:
    """As `[search.constraints]` gives it."""
    return Constraint(metric_of_name(name), op, number)
