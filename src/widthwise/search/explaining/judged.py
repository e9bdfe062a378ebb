"""What is asked of an evaluator while a run is explained, and in which terms it is told."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.evaluators.protocol import Evaluator
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.goals.objective import Objective
from widthwise.search.sureness import KnowsSureness

if TYPE_CHECKING:
    from torch import nn

    from widthwise.metrics.quality.sureness import Sureness

ROUNDING = 1e-12  # differences below this share of the values are none


@dataclass
class Spent:
    """How many candidates were evaluated, and until when more may be."""

    until: float
    evaluations: int = 0

    @property
    def is_over(self) -> bool:
        """Whether the time is spent."""
        return time.monotonic() > self.until


@dataclass(frozen=True, eq=False)
class Terms:
    """The objectives that gains and savings are told in: the first quality, and the first exact cost."""

    quality: Objective | None
    cost: Objective | None

    def better(self, metrics: Mapping[str, FloatArray]) -> FloatArray:
        """The quality, to be maximised, [K]."""
        assert self.quality is not None
        return _signed(self.quality, metrics)

    def cheaper(self, metrics: Mapping[str, FloatArray]) -> FloatArray:
        """The cost with its sign turned, to be maximised, [K]."""
        assert self.cost is not None
        return _signed(self.cost, metrics)

    @property
    def sign(self) -> float:
        """1 where more of the quality is better, else -1."""
        return 1.0 if self.quality is None or self.quality.direction == "maximize" else -1.0


def terms_of(aim: Aim, known: Mapping[str, FloatArray]) -> Terms:
    """known: the metrics that are exact without evaluating."""
    quality = [one for one in aim.objectives if one.name not in known and one.metric.kind == "quality"]
    costs = [one for one in aim.objectives if one.name in known]
    return Terms(quality[0] if quality else None, costs[0] if costs else None)


def _signed(objective: Objective, metrics: Mapping[str, FloatArray]) -> FloatArray:
    values = np.asarray(metrics[objective.name], dtype=np.float64)
    return values if objective.direction == "maximize" else -values


@dataclass(frozen=True, eq=False)
class Judge:
    """An evaluator whose work is counted."""

    evaluator: Evaluator
    spent: Spent
    names: tuple[str, ...] = field(default=())

    def __call__(self, candidates: IntArray) -> dict[str, FloatArray]:
        """Metrics [K] by name of candidates [K, D]; NaN for failures."""
        names = self.names or self.evaluator.columns
        size = max(1, self.evaluator.pace.affordable)
        parts = [self.evaluator(candidates[at : at + size]) for at in range(0, len(candidates), size)]
        self.spent.evaluations += len(candidates)
        return {name: np.concatenate([np.empty(0), *(part[name] for part in parts)]) for name in names}

    def sureness(self, candidates: IntArray, quality: str) -> Sureness | None:
        """Of candidates [K, D]; None where it can't be told of their quality."""
        judge = self.evaluator
        if not isinstance(judge, KnowsSureness) or not 0 < len(candidates) <= judge.sureness_of:
            return None
        found = judge.sureness(candidates, _no_network)
        covariance = found.covariances.get(quality)
        return found if covariance is not None and np.isfinite(covariance).all() else None


def _no_network(row: int) -> nn.Module:
    raise AssertionError(f"row {row}: only evaluators that train ask for networks")


def row_of(metrics: Mapping[str, FloatArray], row: int) -> dict[str, float]:
    """The metrics of one candidate."""
    return {name: float(values[row]) for name, values in metrics.items()}


def differences(of: Mapping[str, float], base: Mapping[str, float]) -> dict[str, float]:
    """By how much each metric differs, exactly 0 where only by rounding."""
    found = {}
    for name in of:
        change = of[name] - base[name]
        none = abs(change) <= ROUNDING * max(abs(of[name]), abs(base[name]))
        found[name] = 0.0 if none else change
    return found
