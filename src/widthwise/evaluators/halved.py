"""A batch of widths under successive halving: who is trained how long, and what is told of those stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.evaluators.halving import Halving, successive_halving
from widthwise.evaluators.judging import Judging
from widthwise.evaluators.rungs import errors_behind, said_of_stopped, warn_of_near
from widthwise.metrics.quality.sureness import Sureness
from widthwise.training import Settings

Outcome = tuple[Tensor, Tensor]
"""Outputs [n, ...] of a network and the targets [n, ...]."""

Train = Callable[[IntArray, Settings, dict[int, Outcome] | None], None]
"""Trains these rows [k], fills in their quality or why they failed, and the outcomes of their first trainings
where there is a place for them."""


@dataclass(frozen=True, eq=False)
class HalvedBatch:
    """K candidates: all are trained a little, only the best go on, until some have had all of the training.

    costs: each [K], exact. quality: each [K, repeats], and failures by row: `train` fills them in.
    settings: all of the training. sureness: of outputs and their targets; outcomes are kept for it where no
    more than `sureness_of` candidates are trained.
    """

    costs: Mapping[str, FloatArray]
    quality: Mapping[str, FloatArray]
    failures: Mapping[int, str]
    judging: Judging
    settings: Settings
    train: Train
    sureness: Callable[[Sequence[Tensor], Tensor], Sureness]
    sureness_of: int
    _seen: dict[int, Outcome] = field(default_factory=dict, init=False)
    _told: dict[int, str] = field(default_factory=dict, init=False)

    def stopped(self, halving: Halving | None, count: int) -> dict[int, str]:
        """Trains `count` candidates; of each that was stopped, by row, when and how far behind it was."""
        successive_halving(count, self._after, full=self._full, halving=halving, rung=self._rung)
        return self._told

    def _after(self, rows: IntArray, budget: int) -> FloatArray:
        """The objectives [k, objectives] of these rows after part of the training, all to be maximised."""
        self._seen.clear()
        kept = self._seen if len(rows) <= self.sureness_of else None
        self.train(rows, _with_budget(self.settings, budget), kept)
        known = {**self.costs, **{name: values.mean(axis=1) for name, values in self.quality.items()}}
        table = np.stack([sign * known[name][rows] for name, sign in self._signs.items()], axis=1)
        table[np.isin(rows, list(self.failures))] = np.nan
        return table

    def _rung(self, stopped: IntArray, kept: IntArray, budget: int) -> None:
        """Tells of those that a rung stopped."""
        signs, costs = self._signs, self.costs
        priced = [sign * costs[name] for name, sign in signs.items() if name in costs]
        no_dearer = [cost[kept][None, :] >= cost[stopped][:, None] for cost in priced]
        allowed = np.logical_and.reduce([np.ones((len(stopped), len(kept)), dtype=bool), *no_dearer])
        unit = "epochs" if self.settings.steps is None else "steps"
        when = f"after {budget} of {self._full} {unit}"
        rows = [*stopped.tolist(), *kept.tolist()]
        behind = self._behind([self._seen[row] for row in rows if row in self._seen], allowed)
        self._told.update(said_of_stopped(stopped, behind, self.quality, when))
        warn_of_near(behind, len(kept), when)

    def _behind(self, seen: Sequence[Outcome], no_dearer: NDArray[np.bool_]) -> FloatArray:
        """`errors_behind` by outcomes; NaN where these are not of all, or nothing is judged."""
        judged = {name: sign for name, sign in self._signs.items() if name in self.quality}
        if len(seen) < sum(no_dearer.shape) or not no_dearer.size or not judged:
            return np.full(len(no_dearer), np.nan)
        found = self.sureness([outputs for outputs, _ in seen], seen[0][1])
        return errors_behind(found, judged, no_dearer)

    @property
    def _full(self) -> int:
        return self.settings.steps or self.settings.epochs

    @cached_property
    def _signs(self) -> dict[str, int]:
        """1 or -1 for each objective, as it is to be great or small."""
        signs = {metric.name: 1 if metric.direction == "maximize" else -1 for metric in self.judging.metrics}
        return {name: signs[name] for name in self.judging.objectives or signs}


def _with_budget(settings: Settings, budget: int) -> Settings:
    if settings.steps is not None:
        return replace(settings, steps=budget)
    return replace(settings, epochs=budget)
