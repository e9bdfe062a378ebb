"""What a reader of a study's trials must know beside them, as one value that is read once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from widthwise.metrics.catalogue import Metric
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.goals.constraints import Constraint
from widthwise.metrics.stored import metric_of_name


@dataclass(frozen=True)
class StudySettings:
    """What was searched for, and by what; as the search began it.

    float_metrics: those of the network as it was, by name. data: what is to be said of the data. model,
    strategy: their names. untrained: whether the network's weights are random. repeats: how many trainings
    each metric is the mean of. named: whether the config's name makes the network that was searched.
    """

    aim: Aim
    constraints: tuple[Constraint, ...] = ()
    float_metrics: Mapping[str, float] = field(default_factory=dict)
    data: str = ""
    model: str | None = None
    strategy: str | None = None
    untrained: bool = False
    repeats: int = 1
    named: bool = True

    def as_json(self) -> dict[str, Any]:
        """As it is stored; metrics by name."""
        return {
            "aim": self.aim.as_json(),
            "constraints": [constraint.as_json() for constraint in self.constraints],
            "float": dict(self.float_metrics),
            "data": self.data,
            "model": self.model,
            "strategy": self.strategy,
            "untrained": self.untrained,
            "repeats": self.repeats,
            **({} if self.named else {"named": False}),  # else as the version before has it
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], metrics: Sequence[Metric]) -> StudySettings:
        """From what `as_json` gave, now or in the version before; metrics: those of the study's trials."""
        known = {metric.name: metric for metric in metrics}

        def metric(name: str) -> Metric:
            return known.get(name) or metric_of_name(name)

        floats: Mapping[str, float | None] = stored.get("float") or {}
        return cls(
            aim=Aim.from_json(stored["aim"], metric),
            constraints=tuple(Constraint.from_json(given, metric) for given in stored.get("constraints", ())),
            float_metrics={name: math.nan if value is None else value for name, value in floats.items()},
            data=stored.get("data", ""),
            model=stored.get("model"),
            strategy=stored.get("strategy"),
            untrained=stored.get("untrained", False),
            repeats=stored.get("repeats", 1),
            named=stored.get("named", True),
        )
