"""How metrics follow from what is told of single samples: right answers, squared and absolute errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from widthwise.core.arrays import FloatArray
from widthwise.metrics.quality.task import Answers, LinksAnswers, Of, Task, Then

if TYPE_CHECKING:
    from torch import Tensor

SAMPLES = 1024  # that values are told of, at most
MOST_VALUES = 4096  # of a candidate: where a sample has several, fewer samples are told of
MOST_EXPONENT = 700.0  # of which there is a float
FEWEST = 60  # samples, below which they tell too little of the others


@dataclass(frozen=True, eq=False)
class Follows:
    """A figure that is `factor` then(sum of shares of(values)), and a constant, of a candidate's values [S].

    shares: [S], 0 for values that it does not follow from. of: "right" is 1 of a value above 0 and else 0.
    then: "root" of the sum, its "exponential", or "decibels", -10 log10 of it.
    """

    shares: FloatArray
    of: Of = "right"
    then: Then = "sum"
    factor: float = 1.0

    def times(self, factor: float) -> Follows:
        """The same of the figure times a factor."""
        return replace(self, factor=self.factor * factor)


@dataclass(frozen=True)
class Told:
    """The values that answers of several kinds tell of each sample, side by side; width: how many."""

    parts: tuple[Answers, ...]
    widths: tuple[int, ...]

    @property
    def samples(self) -> int:
        """How many samples values are told of, at most."""
        return min(SAMPLES, MOST_VALUES // max(sum(self.widths), 1))

    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Of outputs [V, n, ...] for targets [n, ...]: [V, n width], those of a sample after one another."""
        import torch

        shape = outputs.shape[:2]
        found = [part.margins(outputs, targets).reshape(*shape, -1).float() for part in self.parts]
        return torch.cat(found, -1).flatten(1)

    def follows(self, metric: str, targets: Tensor) -> Follows | None:
        """How a metric follows from the values of samples with targets [S, ...]; None where it doesn't."""
        start = 0
        for part, width in zip(self.parts, self.widths, strict=True):
            shares = part.shares(metric, targets) if metric in part.metrics else None
            if shares is not None:
                whole: FloatArray = np.zeros((len(targets), sum(self.widths)))
                whole[:, start : start + width] = shares.reshape(len(targets), width)
                of, then = part.link(metric) if isinstance(part, LinksAnswers) else ("right", "sum")
                return Follows(whole.ravel(), of, then)
            start += width
        return None


def told_of(
    task: Task, metrics: Sequence[str] | None, outputs: tuple[int, ...], targets: Tensor
) -> Told | None:
    """What a task tells of single samples that some of the metrics follow from.

    metrics: None: those of right answers, of a task that has none all. outputs: their shape for one sample.
    targets: of a few samples, [n, ...]. None where there is nothing, or too much of each sample.
    """
    answers = task.answers
    given = () if answers is None else answers if isinstance(answers, tuple) else (answers,)
    if metrics is None:
        given = tuple(part for part in given if not isinstance(part, LinksAnswers)) or given
    parts: list[Answers] = []
    widths: list[int] = []
    for part in given:
        if metrics is not None and not set(metrics) & set(part.metrics):
            continue
        if all(part.shares(metric, targets) is None for metric in part.metrics):
            continue
        width = part.width(outputs) if isinstance(part, LinksAnswers) else 1
        if MOST_VALUES // max(sum(widths) + width, 1) >= FEWEST:
            parts.append(part)
            widths.append(width)
    return Told(tuple(parts), tuple(widths)) if parts else None


def figure(follows: Follows, values: FloatArray) -> FloatArray:
    """What of a figure follows from values [n, S], [n]: all but the constant."""
    each: FloatArray = np.where(values > 0, 1.0, 0.0) if follows.of == "right" else np.abs(values)
    if follows.of == "square":
        each = each**2
    return follows.factor * then(follows, each @ follows.shares)


def then(follows: Follows, sums: FloatArray) -> FloatArray:
    """What becomes of the sums over the samples."""
    least = 1e-30
    if follows.then == "root":
        return np.sqrt(np.maximum(sums, 0.0))
    if follows.then == "exponential":
        return np.exp(np.minimum(sums, MOST_EXPONENT))
    return -10 * np.log10(np.maximum(sums, least)) if follows.then == "decibels" else sums
