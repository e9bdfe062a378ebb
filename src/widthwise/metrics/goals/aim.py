"""What a search is after: its objectives with their scales, as a front or as one scaled sum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from widthwise.core.arrays import FloatArray
from widthwise.metrics.catalogue import Direction, Metric
from widthwise.metrics.goals.combine import objective_values
from widthwise.metrics.goals.objective import Objective

SUM = "scaled_sum"  # the name of the single objective where metrics are summed


@dataclass(frozen=True)
class Aim:
    """The objectives; `summed` makes one of them, the sum of scale * metric, better in `direction`."""

    objectives: tuple[Objective, ...]
    summed: bool = False
    direction: Direction | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics that enter."""
        return tuple(objective.name for objective in self.objectives)

    @property
    def directions(self) -> dict[str, Direction]:
        """What a strategy is told to optimise: each metric, or the one sum, with its direction."""
        if self.summed:
            return {SUM: self.direction or "maximize"}
        return {objective.name: objective.direction for objective in self.objectives}

    def values(self, metrics: Mapping[str, FloatArray]) -> FloatArray:
        """[K, objectives] to be maximised, from metrics [K] each; see `objective_values`."""
        return objective_values(metrics, self.objectives, summed=self.summed, direction=self.direction)

    def known(self, metrics: Mapping[str, FloatArray], count: int) -> FloatArray:
        """As `values` of `count` candidates, from some of the metrics alone: NaN where others are needed.

        What has to be measured is never known before it is, whatever `metrics` say.
        """
        nothing = np.full(count, np.nan)
        measured = {o.name: nothing for o in self.objectives if o.metric.kind == "measured"}
        return self.values({**dict.fromkeys(self.names, nothing), **metrics, **measured})

    def best_unmeasured(self, count: int) -> dict[str, FloatArray]:
        """The best value that there is, [count], of each objective that has to be measured."""
        return {
            o.name: np.full(count, o.metric.low if o.direction == "minimize" else o.metric.high)
            for o in self.objectives
            if o.metric.kind == "measured"
        }

    def best(self, values: FloatArray) -> dict[str, float]:
        """The best of each objective among values [K, objectives], in its own direction and scaled."""
        if not len(values):
            return {}
        signs = [1.0 if direction == "maximize" else -1.0 for direction in self.directions.values()]
        best = np.nanmax(values, axis=0) * np.array(signs)
        return dict(zip(self.directions, best.tolist(), strict=True))

    def scaled(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """scale * metric of one trial for every objective."""
        return {objective.name: objective.scale * metrics[objective.name] for objective in self.objectives}

    def as_json(self) -> dict[str, Any]:
        """As it is stored, and as fingerprints have it: metrics by name."""
        objectives = [{"name": o.name, "direction": o.direction, "scale": o.scale} for o in self.objectives]
        return {"objectives": objectives, "summed": self.summed, "direction": self.direction}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], metric: Callable[[str], Metric]) -> Aim:
        """From what `as_json` gave; `metric` is asked for each of the metrics by name."""
        objectives = tuple(
            Objective(metric(given["name"]), given["direction"], given["scale"])
            for given in stored["objectives"]
        )
        return cls(objectives, stored["summed"], stored["direction"])
