"""The figures of trials that can be looked at: each with its direction and how it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from widthwise.metrics.spread import SPREAD

if TYPE_CHECKING:
    from widthwise.core.arrays import FloatArray
    from widthwise.metrics.catalogue import Metric
    from widthwise.study.study import Study


@dataclass(frozen=True)
class Axis:
    """A metric that trials can be drawn by.

    column: its place among the stored ones. maximize: whether more is better. objective: of the search.
    """

    metric: Metric
    column: int
    maximize: bool
    objective: bool

    @property
    def name(self) -> str:
        """The metric's."""
        return self.metric.name

    @property
    def is_cost(self) -> bool:
        """Whether it is a figure of the network alone."""
        return self.metric.is_hardware

    @property
    def label(self) -> str:
        """With its unit, where people write that: `model_size (bytes)`."""
        unit = self.metric.unit
        return f"{self.name} ({unit})" if unit and unit != "share" else self.name

    def better(self, values: FloatArray) -> FloatArray:
        """The values so that more is better."""
        return values if self.maximize else -values


def axes_of(study: Study) -> tuple[Axis, ...]:
    """The metrics of a study, objectives first; spreads over trainings are errors of others, and no axes."""
    directions = {objective.name: objective.direction for objective in study.aim.objectives}
    names = study.record.columns
    found = [
        Axis(
            metric,
            column,
            directions.get(metric.name, metric.direction) == "maximize",
            metric.name in directions,
        )
        for column, metric in enumerate(study.record.metrics)
        if not (metric.name.endswith(SPREAD) and metric.name.removesuffix(SPREAD) in names)
    ]
    order = list(directions)
    return tuple(
        sorted(found, key=lambda axis: (not axis.objective, order.index(axis.name) if axis.objective else 0))
    )


def first_pair(axes: Sequence[Axis]) -> tuple[Axis, Axis] | None:
    """(quality, cost) to begin with: objectives before others; None where there is nothing to draw."""
    if not axes:
        return None
    ranked = sorted(axes, key=lambda axis: not axis.objective)
    quality = next((axis for axis in ranked if not axis.is_cost), ranked[0])
    others = [axis for axis in ranked if axis != quality]
    cost = next((axis for axis in others if axis.is_cost), others[0] if others else quality)
    return quality, cost
