"""A front to choose from: its rows sorted by cost, what each chooses, near-equal ones together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from widthwise.report.shown.axes import Axis, axes_of, first_pair
from widthwise.report.shown.schemes import Part, differing, in_few_words, parts_of

if TYPE_CHECKING:
    from widthwise.study.study import Study
    from widthwise.study.trials import Trial

MOST_ROWS = 20
NEAR_COST = 0.01  # share of the cost within which rows of the same quality are near-equal


@dataclass(frozen=True)
class FrontRow:
    """A trial of the front.

    alike: numbers of trials with equal objectives. near: of other rows that its qualities can't be told from,
    at the same cost within NEAR_COST. like_float: whether the objectives don't tell it from float.
    errors: the standard error of each quality, or the spread over trainings.
    choices: what it chooses, of the decisions in which rows differ.
    """

    trial: Trial
    alike: tuple[int, ...]
    near: tuple[int, ...]
    like_float: bool
    errors: Mapping[str, float]
    choices: str


@dataclass(frozen=True)
class FrontView:
    """All rows sorted by cost, of which `shown` are to be read; same: what all rows choose alike.

    left: how many rows are left out; grouped: how many near-equal ones stand behind others.
    """

    rows: tuple[FrontRow, ...]
    shown: tuple[FrontRow, ...]
    same: str
    axes: tuple[Axis, ...]
    differs: tuple[Part, ...]

    @property
    def grouped(self) -> int:
        """How many near-equal rows stand behind those that are shown or could be."""
        return sum(len(row.near) for row in leaders(self.rows))

    @property
    def left(self) -> int:
        """Rows that are neither shown nor behind another one."""
        return len(leaders(self.rows)) - len(self.shown) if len(self.shown) < len(self.rows) else 0


def front_view(study: Study, *, everything: bool = False, most: int = MOST_ROWS) -> FrontView:
    """The front; near-equal rows stand together, at most so many, unless `everything` is to be shown."""
    axes = axes_of(study)
    ordered = sorted((tie for tie in study.ties), key=lambda tie: _by_cost(tie.trial, axes))
    trials = [tie.trial for tie in ordered]
    space = study.record.space
    candidates = [trial.candidate for trial in trials]
    parts = parts_of(space)
    differs = differing(parts, candidates)
    same = [part for part in parts if part not in differs]
    near = _near(study, trials, axes)
    like = set(study.like_float)
    rows = tuple(
        FrontRow(
            tie.trial,
            tie.alike,
            near.get(tie.trial.number, ()),
            tie.trial.number in like,
            errors_of(study, tie.trial),
            in_few_words(space, tie.trial.candidate, differs),
        )
        for tie in ordered
    )
    first = candidates[0] if candidates else ()
    shown = rows if everything else _to_read(leaders(rows), most)
    return FrontView(rows, shown, in_few_words(space, first, same) if candidates else "", axes, differs)


def leaders(rows: Sequence[FrontRow]) -> tuple[FrontRow, ...]:
    """The rows that stand for themselves: not behind another one that is near-equal."""
    behind = {number for row in rows for number in row.near}
    return tuple(row for row in rows if row.trial.number not in behind)


def errors_of(study: Study, trial: Trial) -> Mapping[str, float]:
    """How sure the qualities of a trial are: standard errors over samples, or over its trainings."""
    from widthwise.metrics.spread import SPREAD

    if study.repeats > 1:
        root = math.sqrt(study.repeats)
        spreads = {
            name.removesuffix(SPREAD): value for name, value in trial.metrics.items() if name.endswith(SPREAD)
        }
        return {name: value / root for name, value in spreads.items() if name in trial.metrics}
    return study.sureness.errors.get(trial.number, {})


def _by_cost(trial: Trial, axes: Sequence[Axis]) -> tuple[float, ...]:
    """Cheapest first; of equally cheap ones the better first."""
    pair = first_pair(axes)
    if pair is None:
        return (trial.number,)
    quality, cost = pair
    costs = trial.metrics[cost.name] if not cost.maximize else -trial.metrics[cost.name]
    better = trial.metrics[quality.name]
    return (costs, -better if quality.maximize else better, trial.number)


def _near(study: Study, trials: Sequence[Trial], axes: Sequence[Axis]) -> dict[int, tuple[int, ...]]:
    """A row to those that stand behind it: no row is behind two."""
    objectives = [axis for axis in axes if axis.objective]
    costs = [axis.name for axis in objectives if axis.is_cost]
    if not costs or len(costs) == len(objectives):
        return {}
    noisy, best = study.within_noise, next(axis for axis in objectives if not axis.is_cost)
    taken: set[int] = set()
    found: dict[int, tuple[int, ...]] = {}
    by_quality = sorted(
        trials, key=lambda t: -t.metrics[best.name] if best.maximize else t.metrics[best.name]
    )
    for leader in by_quality:
        if leader.number in taken or leader.number not in noisy:
            continue
        behind = [
            other.number
            for other in trials
            if other.number in noisy.get(leader.number, ())
            and other.number not in taken
            and other.number not in found
            and all(_close(leader.metrics[name], other.metrics[name]) for name in costs)
        ]
        taken.update(behind)
        if behind:
            found[leader.number] = tuple(behind)
    return found


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= NEAR_COST * max(abs(one), abs(other))


def _to_read(rows: Sequence[FrontRow], most: int) -> tuple[FrontRow, ...]:
    """At most so many rows, evenly over the front with both ends; of many those with known errors."""
    if len(rows) <= most:
        return tuple(rows)
    sure = [row for row in rows[1:-1] if row.errors]
    some = [rows[0], *sure, rows[-1]] if len(sure) >= most - 2 else rows
    return tuple(some[round(i * (len(some) - 1) / (most - 1))] for i in range(most))
