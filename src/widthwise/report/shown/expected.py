"""What a strategy expected of its trials beside what was measured of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from widthwise.report.shown.course import metric_values
from widthwise.report.terminal import shown_number
from widthwise.study.expected import read_expected

if TYPE_CHECKING:
    from widthwise.core.arrays import FloatArray
    from widthwise.study.store import Block
    from widthwise.study.study import Study

MOST_POINTS = 1_000
FEWEST = 5  # trials, below which no error is told


@dataclass(frozen=True)
class Expected:
    """Of one objective: numbers of trials [k], what was expected and what was measured of each.

    words: how far off it was; of few trials nothing.
    """

    name: str
    numbers: tuple[int, ...]
    expected: tuple[float, ...]
    measured: tuple[float, ...]
    words: str


def expected_of(study: Study, block: Block) -> tuple[Expected, ...]:
    """Of each objective that anything was expected of, for the trials that have both."""
    kept, names = read_expected(study.folder), tuple(study.aim.directions)
    if kept.objectives != names or not len(block.numbers):
        return ()
    nothing = (np.nan,) * len(names)
    told = np.array([kept.values.get(number, nothing) for number in block.numbers.tolist()])
    expected, measured = metric_values(study, told), metric_values(study, values_of(study, block))
    found = []
    for column, name in enumerate(names):
        rows = np.flatnonzero(np.isfinite(expected[:, column]) & np.isfinite(measured[:, column]))
        if not len(rows):
            continue
        words = _words(study, name, expected[rows, column], measured[rows, column])
        if len(rows) > MOST_POINTS:
            rows = rows[np.linspace(0, len(rows) - 1, MOST_POINTS).round().astype(np.int64)]
        numbers, before, after = block.numbers[rows], expected[rows, column], measured[rows, column]
        pairs = tuple(before.tolist()), tuple(after.tolist())
        found.append(Expected(name, tuple(numbers.tolist()), *pairs, words))
    return tuple(found)


def values_of(study: Study, block: Block) -> FloatArray:
    """As the strategy was told them [n, objectives]; NaN of trials that failed."""
    values = study.aim.values(dict(zip(study.record.columns, block.metrics.T, strict=True)))
    values[np.isin(block.numbers, list(block.reasons))] = np.nan
    return values


def _words(study: Study, name: str, expected: FloatArray, measured: FloatArray) -> str:
    """`Of 40 trials … expected … before they were judged: half lie within 0.012 …`."""
    if len(expected) < FEWEST:
        return ""
    metric = {one.name: one for one in study.record.metrics}.get(name)
    off = np.abs(measured - expected)
    half = len(off) // 2
    first, last = (shown_number(metric, float(np.median(part))) for part in (off[:half], off[half:]))
    middle = shown_number(metric, float(np.median(off)))
    who = study.record.settings.strategy or "The strategy"
    return (
        f"{who} expected {name} of {len(off):,} trials before they were judged: half of them lie within "
        f"{middle} of it, {first} in the first half of these trials and {last} in the last."
    )
