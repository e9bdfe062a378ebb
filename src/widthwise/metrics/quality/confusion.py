"""Quality of many candidates at once, from confusion matrices, or what of them counts, and loss sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError, unknown
from widthwise.metrics.catalogue import METRICS
from widthwise.metrics.per_class import class_index, per_class

QUALITY = ("accuracy", "accuracy_macro", "balanced_accuracy", "loss", "precision", "recall", "f1")


def quality_metrics(
    names: Sequence[str], confusion: IntArray, loss_sum: FloatArray, *, class_names: Sequence[str] = ()
) -> dict[str, FloatArray]:
    """Each named metric of each candidate, [K].

    `confusion` [K, C, C] counts samples: rows are the true class, columns the predicted one. `loss_sum` [K]
    is the cross entropy in nats, summed over the samples. All are as torchmetrics has them: a ratio 0/0 is 0,
    and a macro average leaves out the classes that are neither present nor predicted. Without samples every
    metric is NaN. Raises UserError for a name that is none of ours, or a class that does not exist.
    """
    if (
        confusion.ndim != 3
        or confusion.shape[1] != confusion.shape[2]
        or loss_sum.shape != confusion.shape[:1]
    ):
        raise ValueError(
            f"confusion {confusion.shape} and loss_sum {loss_sum.shape}; they must be [K, C, C] and [K]"
        )
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    counts = ClassCounts(hits, confusion.sum(axis=1), confusion.sum(axis=2))
    return metrics_of_counts(names, counts, loss_sum, class_names=class_names)


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """What the metrics need of K confusion matrices, of each class, [K, C].

    hits: samples of the class that are predicted so; predicted: all taken for it; present: all of it.
    """

    hits: IntArray
    predicted: IntArray
    present: IntArray

    @classmethod
    def none(cls, rows: int, classes: int) -> ClassCounts:
        """Of no samples, to be added to."""
        return cls(*(np.zeros((rows, classes), dtype=np.int64) for _ in range(3)))

    @property
    def samples(self) -> IntArray:
        """All of them, [K]."""
        total: IntArray = self.present.sum(axis=1)
        return total


def metrics_of_counts(
    names: Sequence[str], counts: ClassCounts, loss_sum: FloatArray, *, class_names: Sequence[str] = ()
) -> dict[str, FloatArray]:
    """As `quality_metrics`, from what counts of the confusion matrices."""
    each = (part.astype(np.float64) for part in (counts.hits, counts.predicted, counts.present))
    floats = _Counts(*each)
    found = {name: _metric(name, floats, loss_sum, class_names) for name in names}
    empty = counts.samples == 0
    return {name: np.where(empty, np.nan, values) for name, values in found.items()}


@dataclass(frozen=True, eq=False)
class _Counts:
    """ClassCounts as floats."""

    hits: FloatArray
    predicted: FloatArray
    present: FloatArray

    @property
    def samples(self) -> FloatArray:
        total: FloatArray = self.present.sum(axis=1)
        return total


def _metric(name: str, counts: _Counts, loss_sum: FloatArray, class_names: Sequence[str]) -> FloatArray:
    if name == "accuracy":
        return _ratio(counts.hits.sum(axis=1), counts.samples)
    if name == "loss":
        return _ratio(loss_sum, counts.samples)
    if name == "balanced_accuracy":
        there = (counts.present > 0).sum(axis=1).astype(np.float64)
        return _ratio(_recall(counts).sum(axis=1), there)
    if name in _BY_CLASS:
        return _macro(_BY_CLASS[name](counts), counts)
    if (asked := per_class(name)) is not None:
        column = class_index(name, counts.hits.shape[1], class_names)
        return _BY_CLASS[asked[0]](counts)[:, column]
    if name in METRICS:
        raise UserError(f"{name} is a cost metric: it does not follow from predictions")
    raise unknown("quality metric", name, QUALITY)


def _precision(counts: _Counts) -> FloatArray:
    return _ratio(counts.hits, counts.predicted)


def _recall(counts: _Counts) -> FloatArray:
    return _ratio(counts.hits, counts.present)


def _f1(counts: _Counts) -> FloatArray:
    return _ratio(2 * counts.hits, counts.predicted + counts.present)


# a class's accuracy is the share of its samples that are recognised: its recall
_BY_CLASS: dict[str, Callable[[_Counts], FloatArray]] = {
    "accuracy_macro": _recall,
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
}


def _macro(scores: FloatArray, counts: _Counts) -> FloatArray:
    """Mean [K] of the scores [K, C] over the classes that are present or predicted."""
    seen = (counts.predicted + counts.present) > 0
    return _ratio(scores.sum(axis=1, where=seen), seen.sum(axis=1).astype(np.float64))


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Quotient, 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)
