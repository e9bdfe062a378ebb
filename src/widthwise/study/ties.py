"""Trials of the front that are equal in all objectives: one of them stands for the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.goals.aim import Aim
from widthwise.study.trials import Trial


@dataclass(frozen=True)
class Tie:
    """A trial of the front, and the numbers of those that have the same objectives."""

    trial: Trial
    alike: tuple[int, ...] = ()


def ties(front: Sequence[Trial], aim: Aim, metrics: Sequence[Metric]) -> tuple[Tie, ...]:
    """The front with one row for trials that are equal in all objectives, in the order of their numbers.

    The best by the remaining metrics stands for them: by the first of these that differs, qualities before
    costs; of those that are equal in all the first trial.
    """
    if not front:
        return ()
    columns = {name: np.array([trial.metrics[name] for trial in front]) for name in front[0].metrics}
    rest = [m for m in metrics if m.name in columns and m.name not in aim.names]
    order = best_first(rest, columns, len(front))
    values = aim.values(columns)
    groups: dict[tuple[float, ...], list[int]] = {}
    for row in order:
        groups.setdefault(tuple(values[row].tolist()), []).append(int(row))
    found = [
        Tie(front[first], tuple(sorted(front[row].number for row in others)))
        for first, *others in groups.values()
    ]
    return tuple(sorted(found, key=lambda tie: tie.trial.number))


def best_first(metrics: Sequence[Metric], columns: Mapping[str, FloatArray], count: int) -> IntArray:
    """The order of `count` trials by the first of the metrics that differs, qualities before costs; then as
    they stand. NaN comes last."""
    signs = {"maximize": -1.0, "minimize": 1.0}
    keys = [signs[m.direction] * columns[m.name] for m in sorted(metrics, key=lambda m: m.is_hardware)]
    return np.lexsort((np.arange(count), *reversed(keys)))  # the last key counts most
