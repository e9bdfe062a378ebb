"""Totals: what the candidates of a batch have got right and wrong so far, added up over blocks of data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.importing import describe_error
from widthwise.metrics.catalogue import find_metric
from widthwise.metrics.quality.confusion import quality_metrics
from widthwise.metrics.quality.outcomes import count_outcomes
from widthwise.metrics.quality.torchmetrics import TorchmetricsAccumulator

BROKEN = "the scores hold NaN"


class Totals:
    """Confusion matrices and loss sums of R candidates, and accumulators of torchmetrics where asked."""

    def __init__(
        self, rows: int, classes: int, *, loss: bool, others: Mapping[str, TorchmetricsAccumulator]
    ) -> None:
        self.loss = loss
        self.confusion = np.zeros((rows, classes, classes), dtype=np.int64)
        self.loss_sum = np.zeros(rows)
        self.samples = 0  # added so far
        self.failures: dict[int, str] = {}
        self.pruned = np.zeros(rows, dtype=bool)
        self.others = {name: [made.fresh() for _ in range(rows)] for name, made in others.items()}

    def add(self, rows: IntArray, scores: Tensor, versions: IntArray, labels: Tensor) -> None:
        """Outcomes of scores [V, n, C] for labels [n]: those of the rows [R'], each with its version."""
        counts = count_outcomes(scores, labels, loss=self.loss)
        self.confusion[rows] += counts.confusion.cpu().numpy()[versions]
        self.loss_sum[rows] += counts.loss_sum.cpu().numpy()[versions]
        broken = counts.broken.cpu().numpy()
        if broken.any():
            self.failures |= dict.fromkeys(rows[broken[versions]].tolist(), BROKEN)
        for accumulators in self.others.values():
            for row, version in zip(rows.tolist(), versions.tolist(), strict=True):
                if row not in self.failures:
                    with self._failing(row):
                        accumulators[row].update(scores[version], labels)

    @contextmanager
    def _failing(self, row: int) -> Iterator[None]:
        """What is raised inside is the failure of this candidate alone."""
        try:
            yield
        except Exception as error:
            self.failures[row] = describe_error(error)

    @property
    def active(self) -> IntArray:
        """The candidates that have neither failed nor been stopped."""
        return np.flatnonzero(~self._ended)

    @property
    def _ended(self) -> NDArray[np.bool_]:
        ended = self.pruned.copy()
        ended[list(self.failures)] = True
        return ended

    def prune(self, rows: NDArray[np.bool_]) -> None:
        """Stops these of the candidates [R]: the rest of the data is not for them."""
        self.pruned |= rows & ~self._ended

    def best_possible(self, names: Sequence[str], total: int) -> dict[str, FloatArray]:
        """The best value [R] that each quality metric can still have once all `total` samples are seen."""
        rows = len(self.confusion)
        correct = np.trace(self.confusion, axis1=1, axis2=2)
        known = {"accuracy": (correct + total - self.samples) / total, "loss": self.loss_sum / total}
        return {name: known[name] if name in known else np.full(rows, _best(name)) for name in names}

    def metrics(self, names: Sequence[str], class_names: Sequence[str]) -> dict[str, FloatArray]:
        """The quality metrics [R], NaN for candidates that failed."""
        own = [name for name in names if name not in self.others]
        found = quality_metrics(own, self.confusion, self.loss_sum, class_names=class_names)
        for name, accumulators in self.others.items():
            found[name] = np.full(len(accumulators), np.nan)
            for row in self.active.tolist():
                with self._failing(row):
                    found[name][row] = accumulators[row].compute()
        for values in found.values():
            values[self._ended] = np.nan
        return {name: found[name] for name in names}


def _best(name: str) -> float:
    """The best value that a metric of this name can have at all."""
    metric = find_metric(name)
    if metric.source:
        return math.inf if metric.direction == "maximize" else -math.inf
    return 1.0
