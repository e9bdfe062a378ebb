"""How sure a figure is: its standard error on its samples, and that of differences on the same samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.quality.task import Tally
from widthwise.metrics.spread import SIGMAS

GROUPS = 1024  # of samples, at most, whose figures show how a mean varies
RESAMPLES = 200
LEAST = 50  # resamples that have a figure
SECONDS = 20.0  # after which no more are drawn
AT_ONCE = 2**27  # bytes of outputs that are resampled together
BEYOND = 0.05  # how often what lies beyond two standard errors is passed over
NO_VARIANCE = 1e-14  # what rounding leaves of none; one sample of a million makes 1e-12

Make = Callable[[Sequence[Metric]], Tally]
"""An empty tally of these metrics."""


@dataclass(frozen=True, eq=False)
class Sureness:
    """Of K candidates on the same samples: figures [K] and their covariances [K, K], by metric name.

    shares: the metrics that are shares of samples.
    """

    samples: int
    figures: Mapping[str, FloatArray]
    covariances: Mapping[str, FloatArray]
    shares: frozenset[str] = frozenset()

    def errors(self, metric: str) -> FloatArray:
        """The standard error of each figure, [K]; see `unseen` for shares of all or none."""
        return self.errors_of(metric, np.eye(len(self.figures[metric])))

    def errors_of(self, metric: str, weights: FloatArray) -> FloatArray:
        """The standard error of sums of figures by weights [R, K], as 1 and -1 for a difference: [R]."""
        variance = ((weights @ self.covariances[metric]) * weights).sum(axis=1)
        error: FloatArray = np.sqrt(np.maximum(variance, 0.0))
        if metric in self.shares:
            alike = (variance < NO_VARIANCE) & weights.any(axis=1)
            error = np.where(alike, unseen(self.samples), error)
        return error

    def close(self, metric: str) -> NDArray[np.bool_]:
        """Which differences are no more than two of their own standard errors, [K, K]; False where unknown.

        Candidates are judged on the same samples, so a difference is often surer than its two figures.
        """
        covariance, figures = self.covariances[metric], self.figures[metric]
        own = np.diagonal(covariance)
        variance = np.maximum(own[:, None] + own[None, :] - 2 * covariance, 0.0)
        difference = np.abs(figures[:, None] - figures[None, :])
        found: NDArray[np.bool_] = difference <= SIGMAS * np.sqrt(variance) + 1e-12
        return found


def unseen(samples: int) -> float:
    """The standard error of a share of which no sample shows that it varies: all are right, or none.

    Of what none of n samples is, up to 1 - 0.05^(1/n) of all may be, by 95 %: about 3 / n, the rule of three
    (Hanley and Lippman-Hand 1983). Half of that, so that two standard errors say it.
    """
    bound: float = 1.0 - BEYOND ** (1.0 / samples)
    return bound / 2


def sureness(
    make: Make, metrics: Sequence[Metric], outputs: Sequence[Tensor], targets: Tensor, *, seed: int = 0
) -> Sureness:
    """Of metrics of candidates' outputs, K tensors [n, ...], for targets [n, ...], both on the CPU.

    A figure that is the mean of those of single samples, as a share of right answers or a loss, has the
    standard error of a mean: the standard deviation over the samples / sqrt(n), of shares the binomial one,
    and `unseen` where all or none are right.
    Whether it is one is tried, so this holds for any task. Of more than 1,024 samples that many groups are
    compared. Others are computed anew on up to 200 resamples of the samples, drawn with the seed (Efron
    1979), for 20 seconds at most; NaN where fewer than 50 have a figure.
    """
    light = [m for m in metrics if m.judges == "sample" or not m.source]
    figures = _figures(make(metrics), metrics, outputs, targets, np.arange(len(targets)))
    covariances = _of_means(make(light), light, figures, outputs, targets) if light else {}
    rest = [metric for metric in metrics if metric.name not in covariances]
    if rest:
        covariances |= _of_resamples(make(rest), rest, outputs, targets, seed)
    shares = frozenset(metric.name for metric in metrics if metric.unit == "share")
    return Sureness(len(targets), figures, {m.name: covariances[m.name] for m in metrics}, shares)


def _of_means(
    empty: Tally,
    metrics: Sequence[Metric],
    figures: Mapping[str, FloatArray],
    outputs: Sequence[Tensor],
    targets: Tensor,
) -> dict[str, FloatArray]:
    """The covariances of those metrics that are means over samples."""
    samples = len(targets)
    groups = [np.arange(first, samples, GROUPS) for first in range(min(samples, GROUPS))]
    weights = np.array([len(group) / samples for group in groups])
    if len(groups) == samples:
        by_group = _of_each(empty, metrics, outputs, targets)
    else:
        parts = [_figures(empty, metrics, outputs, targets, group) for group in groups]
        by_group = {name: np.stack([part[name] for part in parts], axis=1) for name in parts[0]}
    found = {}
    for metric in metrics:
        values = by_group[metric.name]  # [K, groups]
        mean = values @ weights
        if len(groups) < 2 or not np.allclose(mean, figures[metric.name], rtol=1e-6, atol=1e-9):
            continue
        centred = (values - mean[:, None]) * weights
        right_or_wrong = len(groups) == samples and np.isin(values, (0.0, 1.0)).all()
        found[metric.name] = (
            centred @ centred.T * (1.0 if right_or_wrong else len(groups) / (len(groups) - 1))
        )
    return found


def _of_each(
    empty: Tally, metrics: Sequence[Metric], outputs: Sequence[Tensor], targets: Tensor
) -> dict[str, FloatArray]:
    """The figures [K, n] of single samples: those with one target go together, each as a candidate."""
    candidates, samples = len(outputs), len(targets)
    found = {metric.name: np.empty((candidates, samples)) for metric in metrics}
    kinds = torch.unique(targets.reshape(samples, -1), dim=0, return_inverse=True)[1].numpy()
    most = max(AT_ONCE // (candidates * (outputs[0][:1].nbytes + empty.row_bytes)), 1)
    for kind in range(kinds.max() + 1):
        alike = np.flatnonzero(kinds == kind)
        for first in range(0, len(alike), most):
            part = alike[first : first + most]
            some = (
                torch.stack([one[part] for one in outputs]).flatten(0, 1).unsqueeze(1)
            )  # [K * part, 1, ...]
            tally, rows = empty.fresh(len(some)), np.arange(len(some))
            tally.add(rows, some, rows, targets[part[:1]])
            for name, values in tally.values(list(found)).items():
                found[name][:, part] = values.reshape(candidates, -1)
    return found


def _of_resamples(
    empty: Tally, metrics: Sequence[Metric], outputs: Sequence[Tensor], targets: Tensor, seed: int
) -> dict[str, FloatArray]:
    samples, candidates = len(targets), len(outputs)
    drawn = np.random.default_rng(seed).integers(samples, size=(RESAMPLES, samples))
    began, parts = time.monotonic(), []
    for rows in drawn:
        parts.append(_figures(empty, metrics, outputs, targets, rows))
        if time.monotonic() - began > SECONDS:
            break
    found = {}
    for metric in metrics:
        values = np.stack([part[metric.name] for part in parts], axis=1)  # [K, resamples]
        whole = values[:, np.isfinite(values).all(axis=0)]
        found[metric.name] = np.full((candidates, candidates), np.nan)
        if whole.shape[1] >= LEAST:
            found[metric.name] = np.atleast_2d(np.cov(whole))
    return found


def _figures(
    empty: Tally, metrics: Sequence[Metric], outputs: Sequence[Tensor], targets: Tensor, rows: IntArray
) -> dict[str, FloatArray]:
    """The figures [K] of these samples alone."""
    tally, names = empty.fresh(len(outputs)), [metric.name for metric in metrics]
    picked = torch.from_numpy(rows)
    each = max(outputs[0][:1].nbytes * len(rows), 1)
    step = max(AT_ONCE // each, 1)
    for start in range(0, len(outputs), step):
        some = torch.stack([one[picked] for one in outputs[start : start + step]])
        tally.add(np.arange(start, start + len(some)), some, np.arange(len(some)), targets[picked])
    return tally.values(names)
