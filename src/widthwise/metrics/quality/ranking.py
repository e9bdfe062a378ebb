"""Figures of how scores rank what is there before what is not: they need all scores, not sums."""

from __future__ import annotations

from collections.abc import Callable
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from widthwise.core.arrays import FloatArray

Numbers = NDArray[Any]
Ranking = Callable[[Numbers, Numbers], float]


class Kept:
    """Scores [samples, labels] in float32 of R candidates and their targets, block by block."""

    def __init__(self, rows: int) -> None:
        self._scores: list[list[Numbers]] = [[] for _ in range(rows)]
        self._targets: list[list[Numbers]] = [[] for _ in range(rows)]

    def add(self, rows: Any, scores: Numbers, versions: Any, targets: Numbers) -> None:
        """Scores [V, n, labels] for targets [n, labels]: of the rows [R'], each with its version."""
        for row, version in zip(rows.tolist(), versions.tolist(), strict=True):
            self._scores[row].append(scores[version])
            self._targets[row].append(targets)

    def by_label(self, row: int, ranking: Ranking) -> FloatArray:
        """A ranking's figure for each label, [labels]; NaN without samples."""
        if not self._scores[row]:
            return np.full(1, np.nan)
        scores, targets = np.concatenate(self._scores[row]), np.concatenate(self._targets[row])
        return np.array([ranking(scores[:, k], targets[:, k]) for k in range(scores.shape[1])])


def auroc(scores: Numbers, there: Numbers) -> float:
    """The chance that a sample of what is there [n] has a higher score [n] than one of what isn't.

    Of equal scores a half counts (Mann and Whitney 1947). NaN where one of the two kinds is missing.
    """
    positive = int(there.sum())
    negative = len(there) - positive
    if not positive or not negative:
        return nan
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2  # the rank that equal scores share
    above = middle[places][there.astype(bool)].sum() - positive * (positive + 1) / 2
    return float(above / (positive * negative))


def average_precision(scores: Numbers, there: Numbers) -> float:
    """Sum over the thresholds of the gain in recall times the precision; NaN where nothing is there.

    Equal scores are one threshold, as scikit-learn and torchmetrics have it.
    """
    positive = int(there.sum())
    if not positive:
        return nan
    found, places = np.unique(-scores, return_inverse=True)
    hits = np.bincount(places, weights=there, minlength=len(found))
    taken = np.bincount(places, minlength=len(found))
    precision = np.cumsum(hits) / np.cumsum(taken)
    return float((hits / positive * precision).sum())


def mean_of_known(each: FloatArray) -> FloatArray:
    """The mean [R] over the labels [R, labels] that have a figure; NaN where none has."""
    known = (~np.isnan(each)).sum(axis=1)
    mean: FloatArray = np.nan_to_num(each).sum(axis=1) / np.maximum(known, 1)
    mean[known == 0] = np.nan
    return mean


RANKINGS: dict[str, Ranking] = {"auroc": auroc, "average_precision": average_precision}
