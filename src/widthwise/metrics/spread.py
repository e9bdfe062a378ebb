"""Means over repeated trainings, their spread, and which results can't be told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf

import numpy as np
from numpy.typing import NDArray

from widthwise.core.arrays import FloatArray
from widthwise.metrics.catalogue import Metric

SPREAD = "_spread"  # what the name of a metric's standard deviation over the repeats ends in
SIGMAS = 2.0


def spread_of(metric: Metric) -> Metric:
    """The standard deviation of a metric over the repeats, a metric too: in its unit, better small."""
    return replace(
        metric,
        name=metric.name + SPREAD,
        direction="minimize",
        description=f"standard deviation of {metric.name} over repeated trainings",
        low=0.0,
        high=inf,
        source="",
    )


def mean_and_spread(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean [K] and standard deviation [K] (of a sample: n - 1) of values [K, repeats]; NaN stays NaN."""
    repeats = values.shape[1]
    spread = values.std(axis=1, ddof=1) if repeats > 1 else np.full(len(values), np.nan)
    return values.mean(axis=1), spread


def within_noise(means: FloatArray, spreads: FloatArray, repeats: int) -> NDArray[np.bool_]:
    """Which pairs of K results can't be told apart, [K, K]: the difference is below two standard errors.

    means and spreads [K] are those of `repeats` trainings each; without a spread nothing is within noise
    but a result and itself.
    """
    variance = np.nan_to_num(spreads, nan=0.0) ** 2 / max(repeats, 1)
    error = np.sqrt(variance[:, None] + variance[None, :])
    difference = np.abs(means[:, None] - means[None, :])
    close: NDArray[np.bool_] = difference <= SIGMAS * error
    np.fill_diagonal(close, val=True)
    return close


def indistinct(
    metrics: Mapping[str, FloatArray], names: Sequence[str], repeats: int
) -> dict[int, tuple[int, ...]]:
    """Row to the other rows that none of the metrics `names` tells it from; rows without such are left out.

    metrics: columns [K], of which NAME_spread are standard deviations over `repeats`; those of `names` that
    have none (costs, which are exact) say nothing of noise.
    """
    spread = [name for name in names if name + SPREAD in metrics]
    if repeats < 2 or not spread:
        return {}
    close = np.logical_and.reduce(
        [within_noise(metrics[name], metrics[name + SPREAD], repeats) for name in spread]
    )
    np.fill_diagonal(close, val=False)
    return {
        row: tuple(np.flatnonzero(close[row]).tolist()) for row in np.flatnonzero(close.any(axis=1)).tolist()
    }
