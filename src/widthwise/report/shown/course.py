"""How a search went: hypervolume and the best of each objective over trials and time, failures by reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from widthwise.metrics.goals.constraints import feasible
from widthwise.metrics.goals.pareto import Front

if TYPE_CHECKING:
    from widthwise.core.arrays import BoolArray, FloatArray, IntArray
    from widthwise.study.store import Block
    from widthwise.study.study import Study

MOST_STEPS = 200
MOST_REASONS = 8
MOST_WORK = 1e7  # of one hypervolume, about f^(m/2) for f points of m objectives
MARGIN = 0.01  # the reference point lies this share of the range beyond the worst, as in comparisons


@dataclass(frozen=True)
class Course:
    """trials [S], seconds [S]: how far the search was. share [S]: of the hypervolume that it ended with;
    empty where the front is too large for its hypervolume to be computed.

    best: by objective, the best until then [S]. failures: reason and count, most frequent first; others:
    how many failed for reasons that are not listed.
    """

    trials: tuple[int, ...]
    seconds: tuple[float, ...]
    share: tuple[float, ...]
    best: dict[str, tuple[float, ...]]
    failures: tuple[tuple[str, int], ...]
    others: int


def course_of(study: Study, block: Block, ends: IntArray, elapsed: FloatArray) -> Course:
    """Of all trials of a block; batches ended before the trials `ends` [B], after `elapsed` [B] seconds."""
    columns = dict(zip(study.record.columns, block.metrics.T, strict=True))
    constraints = study.record.settings.constraints
    values = study.aim.values(columns) if len(block.numbers) else np.empty((0, len(study.aim.directions)))
    good: BoolArray = np.logical_not(np.isnan(values).any(axis=1))
    if block.reasons:
        good &= ~np.isin(block.numbers, list(block.reasons))
    if constraints and len(values):
        good &= feasible(constraints, columns)
    steps = _steps(len(values))
    share, best = _progress(values, good, steps)
    best = metric_values(study, best)
    at = np.searchsorted(ends, block.numbers[steps - 1], side="right").clip(max=max(0, len(ends) - 1))
    seconds = elapsed[at] if len(elapsed) else np.zeros(len(steps))
    failures = Counter(block.reasons.values()).most_common()
    return Course(
        tuple((block.numbers[steps - 1] + 1).tolist()),
        tuple(seconds.tolist()),
        tuple(share),
        {name: tuple(best[:, column].tolist()) for column, name in enumerate(study.aim.directions)},
        tuple(failures[:MOST_REASONS]),
        sum(count for _, count in failures[MOST_REASONS:]),
    )


def metric_values(study: Study, values: FloatArray) -> FloatArray:
    """Values [n, objectives] as strategies are told them, as the metrics have them: unscaled, unsigned."""
    signs = np.array([1.0 if way == "maximize" else -1.0 for way in study.aim.directions.values()])
    if not study.aim.summed:
        signs /= np.array([objective.scale for objective in study.aim.objectives])
    return np.asarray(values * signs)


def _steps(count: int) -> IntArray:
    """After how many trials to look, [S]: denser at the beginning, where most changes."""
    if count <= MOST_STEPS:
        return np.arange(1, count + 1)
    return np.unique(np.geomspace(1, count, MOST_STEPS).round().astype(np.int64))


def _progress(values: FloatArray, good: BoolArray, steps: IntArray) -> tuple[list[float], FloatArray]:
    """Share of the final hypervolume [S] or none, best of each objective so far [S, m]; NaN before any."""
    best = np.full((len(steps), values.shape[1]), np.nan)
    if not good.any():
        return [0.0] * len(steps), best
    low, high = values[good].min(axis=0), values[good].max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    scaled = (values - low) / span
    reference = np.full(values.shape[1], -MARGIN)
    front, done, countable = Front(values.shape[1]), 0, True
    found: list[float] = []
    for row, step in enumerate(steps):
        part = slice(done, int(step))
        new = scaled[part][good[part]]
        if len(new):
            front.update(new)
            now = values[part][good[part]].max(axis=0)
            best[row] = now if row == 0 else np.fmax(best[row - 1], now)
        elif row:
            best[row] = best[row - 1]
        if countable := countable and len(front) ** (values.shape[1] / 2) <= MOST_WORK:
            found.append(front.hypervolume(reference) if len(front) else 0.0)
        done = int(step)
    if not countable:
        return [], best
    return [volume / found[-1] if found[-1] else 0.0 for volume in found], best
