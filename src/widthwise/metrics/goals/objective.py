"""Objectives: the metrics that a search optimises, as a config names them (imports nothing heavy)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from widthwise.core.errors import UserError
from widthwise.metrics.catalogue import Direction, Metric


@dataclass(frozen=True)
class Objective:
    """A metric with its direction and scale, as `[search.strategy.metrics]` gives them."""

    metric: Metric
    direction: Direction
    scale: float = 1.0

    @property
    def name(self) -> str:
        """The metric's."""
        return self.metric.name

    def __post_init__(self) -> None:
        if self.direction not in ("maximize", "minimize"):
            raise UserError(f"{self.name}.direction = {self.direction!r}; allowed: maximize, minimize")
        if isinstance(self.scale, bool) or not math.isfinite(self.scale):
            raise UserError(f"{self.name}.scale = {self.scale!r} is no finite number")
