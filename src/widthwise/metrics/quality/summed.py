"""A tally for figures that follow from a few numbers a candidate, added up over blocks of data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from torch import Tensor

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.data.facts import DataFacts
from widthwise.metrics.catalogue import Metric, find_metric
from widthwise.metrics.quality.ranking import RANKINGS, Kept
from widthwise.metrics.quality.torchmetrics import Accumulated, TorchmetricsAccumulator

BROKEN = "the outputs hold NaN"
NOTHING_COUNTS = "all targets are left out (-100), so there is nothing to judge it by"
Combine = Literal["sum", "least", "greatest"]
_COMBINED = {"sum": np.add, "least": np.minimum, "greatest": np.maximum}
_NOTHING = {"sum": 0.0, "least": np.inf, "greatest": -np.inf}


class Figures(Protocol):
    """What is added up of outputs, and the metrics that follow from it."""

    @property
    def columns(self) -> Mapping[str, tuple[int, Combine]]:
        """The statistics by name: of how many numbers each is, and how those of two blocks are one."""
        ...

    def fresh(self) -> Figures:
        """The same for a tally of its own, if blocks change something; else itself."""
        ...

    def statistics(self, outputs: Tensor, targets: Tensor) -> Mapping[str, Tensor]:
        """Those of outputs [V, n, ...] for targets [n, ...]: [V, numbers] each, or [numbers] for all V.

        "broken" [V, 1], if it is there, says in whose outputs NaN was seen.
        """
        ...

    def values(self, metrics: Sequence[str], found: Mapping[str, FloatArray]) -> Mapping[str, FloatArray]:
        """The metrics [R] from statistics [R, numbers]; some may have no samples."""
        ...

    def hopes(
        self, metrics: Sequence[str], found: Mapping[str, FloatArray], left: FloatArray
    ) -> Mapping[str, FloatArray]:
        """The best [R] of those metrics of which more is known than their range; left: samples to come."""
        ...


@dataclass(frozen=True, eq=False)
class Rankings:
    """Metrics of RANKINGS that are asked for, for which the scores of all samples are kept.

    fed: scores [V, n, labels] and whether each label is there [n, labels], of outputs and targets. together:
    a metric [R] from those of each label, [R, labels].
    """

    names: Sequence[str]
    fed: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    together: Callable[[str, Mapping[str, FloatArray]], FloatArray]


class SummedTally:
    """Statistics of R candidates in float64, the figures that follow, and what is of torchmetrics."""

    def __init__(
        self,
        rows: int,
        figures: Figures,
        metrics: Mapping[str, Metric],
        others: Mapping[str, TorchmetricsAccumulator],
        *,
        rankings: Rankings | None = None,
        about: DataFacts | None = None,
    ) -> None:
        """about: how many samples there are, by which the memory that rankings take is known."""
        self.failures: dict[int, str] = {}
        self._figures, self._metrics, self._others = figures.fresh(), metrics, others
        self._found = {
            name: np.full((rows, numbers), _NOTHING[combine])
            for name, (numbers, combine) in figures.columns.items()
        }
        self._seen = np.zeros(rows)
        self._rankings, self._about = rankings, about
        self._ranked = () if rankings is None else tuple(rankings.names)
        self._kept = Kept(rows if self._ranked else 0)
        self._accumulated = Accumulated(rows, others, self.failures)

    @property
    def row_bytes(self) -> int:
        """About how much memory a candidate takes, here and of the versions at hand."""
        sums = sum(x.shape[1] for x in self._found.values())
        sizes = [] if self._about is None else list(self._about.sizes.values())
        kept = 8 * sums * max(sizes, default=2**16) if self._ranked else 0
        return 16 * (1 + sums) + self._accumulated.row_bytes + kept

    def fresh(self, rows: int) -> SummedTally:
        """An empty one of the same figures, for so many candidates."""
        figures, metrics, others = self._figures, self._metrics, self._others
        return SummedTally(rows, figures, metrics, others, rankings=self._rankings, about=self._about)

    def add(self, rows: IntArray, outputs: Tensor, versions: IntArray, targets: Tensor) -> None:
        """Takes in outputs [V, n, ...] for targets [n, ...]: of the rows [R'], each with its version."""
        found = self._figures.statistics(outputs, targets)
        for name, (_, combine) in self._figures.columns.items():
            values = found[name].detach().cpu().double().numpy()
            chosen = values if values.ndim == 1 else values[versions]
            self._found[name][rows] = _COMBINED[combine](self._found[name][rows], chosen)
        self._seen[rows] += len(targets)
        seen = found["broken"][:, 0] > 0 if "broken" in found else outputs.flatten(1).isnan().any(1)
        broken = seen.cpu().numpy()
        if broken.any():
            self.failures |= dict.fromkeys(rows[broken[versions]].tolist(), BROKEN)
        self._accumulated.add(rows, outputs, versions, targets)
        if self._rankings is not None and self._ranked:
            outputs, targets = self._rankings.fed(outputs, targets)
            scores = outputs.reshape(*outputs.shape[:2], -1).float().cpu().numpy()
            self._kept.add(rows, scores, versions, targets.reshape(len(targets), -1).cpu().numpy())

    def values(self, metrics: Sequence[str], rows: IntArray | None = None) -> dict[str, FloatArray]:
        """The figures [R]; NaN for candidates that failed, that have no samples, and not in `rows`."""
        own = [name for name in metrics if name not in self._others and name not in self._ranked]
        with np.errstate(divide="ignore", invalid="ignore"):
            found = {name: np.array(x) for name, x in self._figures.values(own, self._found).items()}
        if own:
            unknown = np.all([np.isnan(values) for values in found.values()], axis=0) & (self._seen > 0)
            for row in np.flatnonzero(unknown).tolist():
                self.failures.setdefault(row, NOTHING_COUNTS)
        found |= self._accumulated.values([name for name in metrics if name in self._others], rows)
        found |= self._ranking_values([name for name in metrics if name in self._ranked], rows)
        left_out = self._seen == 0
        if rows is not None:
            left_out |= ~np.isin(np.arange(len(self._seen)), rows)
        left_out[list(self.failures)] = True
        for values in found.values():
            values[left_out] = np.nan
        return {name: found[name] for name in metrics}

    def best_possible(self, metrics: Sequence[str], total: int) -> dict[str, FloatArray]:
        """The best that each can still have: as the figures know, else the best that there is."""
        own = [name for name in metrics if name not in self._others and name not in self._ranked]
        with np.errstate(divide="ignore", invalid="ignore"):
            known = self._figures.hopes(own, self._found, total - self._seen)
        best = {name: np.full(len(self._seen), _best(name, self._metrics)) for name in metrics}
        return {name: known.get(name, best[name]) for name in metrics}

    def _ranking_values(self, metrics: Sequence[str], rows: IntArray | None) -> dict[str, FloatArray]:
        """Those of the rankings [R] of the rows, by default of all."""
        if self._rankings is None:
            return {}
        wanted = np.arange(len(self._seen)) if rows is None else rows
        found = {name: np.full(len(self._seen), np.nan) for name in metrics}
        for name, values in found.items():
            ranking = RANKINGS[name.partition("[")[0]]
            for row in (row for row in wanted.tolist() if row not in self.failures and self._seen[row]):
                each = self._kept.by_label(row, ranking)[None]
                values[row] = self._rankings.together(name, {name.partition("[")[0]: each})[0]
        return found


def _best(name: str, metrics: Mapping[str, Metric]) -> float:
    metric = metrics.get(name) or find_metric(name)
    return metric.high if metric.direction == "maximize" else metric.low
