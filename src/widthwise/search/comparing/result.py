"""What a comparison found, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.metrics.catalogue import Direction, Metric
from widthwise.search.comparing.entrants import Entrant
from widthwise.search.comparing.measures import evaluations_to_reach
from widthwise.search.comparing.signed_ranks import PairTest
from widthwise.study.looks import shown

LEVELS = (0.9, 0.95, 0.99, 1.0)  # shares of the hypervolume
QUARTILES = (25, 50, 75)


@dataclass(frozen=True, eq=False)
class Outcome:
    """One strategy: a row for each seed, a column for each number of evaluations from 1 to the budget.

    share [S, B]: of the hypervolume of the true front, or of the union of all fronts.
    best: metric to [S, B], the best so far in the metric's own direction; NaN while there is none.
    own_seconds [S, B]: time in ask and tell so far. evaluations [S]: how many the run made.
    ended: why each run stopped. What stops before the budget keeps its last values.
    """

    entrant: Entrant
    share: FloatArray
    best: Mapping[str, FloatArray]
    own_seconds: FloatArray
    evaluations: IntArray
    ended: tuple[str, ...]

    @property
    def label(self) -> str:
        """How it is called."""
        return self.entrant.label

    @property
    def final(self) -> FloatArray:
        """The share when the budget is spent, [S]."""
        return self.share[:, -1]

    @cached_property
    def mean_share(self) -> FloatArray:
        """The share averaged over all numbers of evaluations, [S]: the area under the curve."""
        mean: FloatArray = self.share.mean(axis=1)
        return mean

    def to_reach(self, level: float) -> FloatArray:
        """Evaluations until the share was at the level, [S]; NaN where it never was."""
        return evaluations_to_reach(self.share, level)

    def share_at(self, evaluations: int) -> FloatArray:
        """The share after so many evaluations, [S]."""
        return self.share[:, evaluations - 1]


@shown
@dataclass(frozen=True, eq=False)
class Comparison:
    """Several strategies on one search, over the same seeds and budget.

    truth: "space" where the whole space was evaluated and its front is the yardstick, otherwise "union", of
        all that any run found. front: points of that front.
    metrics: all by name; directions: of each. objectives: what was optimised. reference: the point that
        hypervolumes are measured from, in the objectives' own directions and scales.
    size: candidates of the space. evaluated: distinct candidates that were evaluated, in `seconds`. failed:
        those of them that failed, the first `failed_because` of this.
    failures: strategies that raised on the way, and are left out, with what they raised.
    interrupted: strategies that are left out because the comparison was stopped before they were done.
    """

    task: str
    outcomes: tuple[Outcome, ...]
    seeds: tuple[int, ...]
    budget: int
    asked_budget: int
    batch: int | None
    size: int
    truth: Literal["space", "union"]
    front: int
    metrics: Mapping[str, Metric]
    directions: Mapping[str, Direction]
    objectives: Mapping[str, Direction]
    reference: Mapping[str, float]
    evaluated: int
    seconds: float
    tests: tuple[PairTest, ...]
    failed: int = 0
    failed_because: str = ""
    failures: Mapping[str, str] = field(default_factory=dict)
    interrupted: tuple[str, ...] = ()

    @property
    def seconds_per_evaluation(self) -> float:
        """What one evaluation took on average, in the batches in which they were made."""
        return self.seconds / max(self.evaluated, 1)

    @property
    def milestones(self) -> tuple[int, ...]:
        """Numbers of evaluations to tell of: an eighth, a quarter, a half of the budget, and all."""
        return tuple(sorted({max(1, self.budget // part) for part in (8, 4, 2, 1)}))


def quartiles(values: FloatArray) -> FloatArray:
    """Lower quartile, median, upper quartile over the first axis, [3, ...]; NaN is never, the greatest."""
    filled = np.where(np.isnan(values), np.inf, values)
    # between a number and never there is nothing: never, then
    method: Literal["higher", "linear"] = "higher" if np.isinf(filled).any() else "linear"
    found: FloatArray = np.percentile(filled, QUARTILES, axis=0, method=method)
    return np.where(np.isinf(found), np.nan, found)
