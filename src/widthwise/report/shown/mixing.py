"""Did mixing widths help? The front beside the uniform schemes among the trials, at equal cost.

Where `widthwise explain` evaluated all of them, its comparison stands in place of this one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from widthwise.metrics.spread import SIGMAS
from widthwise.report.shown.axes import Axis
from widthwise.report.shown.front import errors_of
from widthwise.report.shown.uniform import Uniform
from widthwise.report.terminal import shown_number

if TYPE_CHECKING:
    from widthwise.core.arrays import FloatArray
    from widthwise.study.store import Block
    from widthwise.study.study import Study


@dataclass(frozen=True)
class Beside:
    """A uniform scheme and the best of the front that costs no more.

    number, cost, quality: of the uniform trial. front: the number of the other, front_cost and front_quality.
    gain: by how much the front is better, below 0 where it is worse; error: of that difference, NaN where
    nobody knows.
    """

    label: str
    number: int
    cost: float
    quality: float
    front: int
    front_cost: float
    front_quality: float
    gain: float
    error: float

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if self.gain == 0 and self.front_cost == self.cost:
            return "the same"
        if self.gain == 0:
            return "as good for less"
        if math.isfinite(self.error) and abs(self.gain) <= SIGMAS * self.error:
            return "no different"
        return "better" if self.gain > 0 else "worse"


@dataclass(frozen=True)
class Mixing:
    """The comparison for one pair of metrics, in rows and in words."""

    quality: Axis
    cost: Axis
    rows: tuple[Beside, ...]
    words: str


def mixing_of(
    study: Study, block: Block, uniform: Sequence[Uniform], quality: Axis, cost: Axis
) -> Mixing | None:
    """The front of a study beside its uniform trials; None where there is no front or no uniform trial."""
    if not study.front or not uniform or quality == cost:
        return None
    errors = _errors(study, quality)
    front = [tie.trial for tie in study.ties]
    values = quality.better(np.array([trial.metrics[quality.name] for trial in front]))
    costs = -cost.better(np.array([trial.metrics[cost.name] for trial in front]))
    rows = []
    for scheme in uniform:
        row = _best_row(block, scheme.rows, quality, cost)
        if row is None:
            continue
        mine = float(quality.better(block.metrics[row : row + 1, quality.column])[0])
        price = float(-cost.better(block.metrics[row : row + 1, cost.column])[0])
        affordable = np.flatnonzero(costs <= price)
        if not len(affordable):
            continue
        best = affordable[np.lexsort((costs[affordable], -values[affordable]))[0]]
        same = front[best].candidate == tuple(block.candidates[row].tolist())
        error = math.nan if same else math.hypot(errors.at(mine), errors.at(float(values[best])))
        rows.append(
            Beside(
                scheme.label,
                int(block.numbers[row]),
                float(block.metrics[row, cost.column]),
                float(block.metrics[row, quality.column]),
                front[best].number,
                front[best].metrics[cost.name],
                front[best].metrics[quality.name],
                float(values[best]) - mine,
                error,
            )
        )
    return Mixing(quality, cost, tuple(rows), _words(rows, quality, cost)) if rows else None


@dataclass(frozen=True)
class _Errors:
    """Standard errors by quality, of the front: that of the nearest quality is taken for others."""

    values: FloatArray
    errors: FloatArray

    def at(self, value: float) -> float:
        return float(self.errors[np.abs(self.values - value).argmin()]) if len(self.values) else math.nan


def _errors(study: Study, quality: Axis) -> _Errors:
    pairs = [
        (trial.metrics[quality.name], found[quality.name])
        for trial in study.front
        if quality.name in (found := errors_of(study, trial)) and not math.isnan(found[quality.name])
    ]
    values, errors = np.array(pairs).reshape(len(pairs), 2).T
    return _Errors(quality.better(values), errors)


def _best_row(block: Block, rows: Sequence[int], quality: Axis, cost: Axis) -> int | None:
    """The best of several trials of one uniform scheme that succeeded; of equals the cheapest."""
    some = np.array([row for row in rows if int(block.numbers[row]) not in block.reasons], dtype=np.int64)
    values = block.metrics[some][:, [quality.column, cost.column]]
    some, values = some[~np.isnan(values).any(axis=1)], values[~np.isnan(values).any(axis=1)]
    if not len(some):
        return None
    order = np.lexsort((-cost.better(values[:, 1]), -quality.better(values[:, 0])))
    return int(some[order[0]])


def _words(rows: Sequence[Beside], quality: Axis, cost: Axis) -> str:
    """A sentence with a number and its noise, also when the answer is no."""
    if all(row.verdict == "the same" for row in rows):
        return f"No: at the {cost.name} of uniform schemes nothing better than these was found."
    sure = any(math.isfinite(row.error) for row in rows)
    better = [row for row in rows if row.verdict == "better"]
    worse = [row for row in rows if row.verdict == "worse"]
    noise = "" if sure else " How sure these figures are is not known here, so the difference may be chance."
    if worse:
        row = min(worse, key=lambda row: row.gain)
        return f"No: {_of(row, quality, cost)}, and the front has {_figure(row, quality)}: worse.{noise}"
    if better:
        row = max(better, key=lambda row: row.gain)
        more = f" It is better than {len(better)} of {len(rows)} uniform schemes."
        mixed = f"a mixed one of no greater cost {_figure(row, quality)}"
        return f"Yes: {_of(row, quality, cost)}, {mixed}.{more}{noise}"
    cheaper = [row for row in rows if row.verdict == "as good for less"]
    if cheaper:
        row = max(cheaper, key=lambda row: abs(row.cost - row.front_cost))
        saved = (
            f"{shown_number(cost.metric, row.front_cost)} in place of {shown_number(cost.metric, row.cost)}"
        )
        return f"It saves cost: as good as {row.label} everywhere with {cost.name} {saved}.{noise}"
    return (
        "Not measurably: at equal cost no mixed scheme differs from the uniform one by more than the noise "
        f"of {quality.name}.{noise}"
    )


def _of(row: Beside, quality: Axis, cost: Axis) -> str:
    good, price = shown_number(quality.metric, row.quality), shown_number(cost.metric, row.cost)
    return f"{row.label} everywhere gives {quality.name} {good} at {cost.name} {price}"


def _figure(row: Beside, quality: Axis) -> str:
    shown = shown_number(quality.metric, row.front_quality)
    error = f" ± {shown_number(quality.metric, row.error)}" if math.isfinite(row.error) else ""
    return f"{shown} (difference {row.gain:+.3f}{error})"
