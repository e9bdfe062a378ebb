"""What a store holds, as values: a study, a batch of its trials, a block of trials read back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.core.hashing import jsonable
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.stored import metric_from_json, metric_of_name, metric_to_json
from widthwise.spaces.space import Decision, Space
from widthwise.study.store.codec import MOST_CHOICES
from widthwise.study.store.settings import StudySettings

DESCRIBED = "metrics"  # where in the settings the metrics stand as objects, by name


@dataclass(frozen=True)
class StudyRecord:
    """A study as stored, without its trials.

    metrics: those of a trial, in the order of its columns; settings: what else a reader must know.
    fingerprint: everything that changes results: its name to its value or hash.
    finished: why the search ended, None while it may go on.
    """

    name: str
    space: Space
    metrics: tuple[Metric, ...]
    settings: StudySettings
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    config: str = ""
    created: str = ""
    finished: str | None = None
    holder: Mapping[str, Any] | None = None
    id: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the metrics."""
        return tuple(metric.name for metric in self.metrics)


@dataclass(frozen=True)
class Block:
    """Trials read back: numbers [k] ascending, candidates [k, D], metrics [k, M], reasons of failed ones."""

    numbers: IntArray
    candidates: IntArray
    metrics: FloatArray
    reasons: Mapping[int, str]  # by trial number

    def rows(self, start: int, stop: int) -> Block:
        """The trials with these numbers, start <= number < stop."""
        low, high = self.numbers.searchsorted([start, stop])
        reasons = {n: reason for n, reason in self.reasons.items() if start <= n < stop}
        cut = slice(int(low), int(high))
        return Block(self.numbers[cut], self.candidates[cut], self.metrics[cut], reasons)


@dataclass(frozen=True)
class StoredBatch:
    """One call of a strategy: how many candidates it proposed, those out of bounds, the trials of the others.

    cut: row among the proposed ones to the candidate, for those that were not evaluated.
    seconds: spent on evaluating; elapsed: spent on the study until it was stored.
    """

    number: int
    first: int
    asked: int
    evaluated: int
    cut: Mapping[int, tuple[int, ...]]
    seconds: float
    elapsed: float


@dataclass(frozen=True)
class StoredBatches:
    """Batches that follow one another, and the trials of all of them."""

    batches: Sequence[StoredBatch]
    trials: Block


@dataclass(frozen=True)
class Summary:
    """Counts over a study: trials evaluated, failed, stopped early, candidates cut, batches, seconds."""

    trials: int = 0
    failed: int = 0
    stopped: int = 0
    cut: int = 0
    batches: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Shares:
    """What each trial's part of its batch's seconds is: batches begin at trials first [B], share [B] each."""

    first: IntArray
    share: FloatArray

    def of(self, numbers: IntArray) -> FloatArray:
        """Seconds of the trials with these numbers [k]."""
        if not len(self.first):
            return np.zeros(len(numbers))
        return self.share[self.first.searchsorted(numbers, side="right") - 1]


def to_row(record: StudyRecord) -> dict[str, Any]:
    """The columns of a study's row, but for its id."""
    for decision in record.space.decisions:
        if len(decision.choices) > MOST_CHOICES:
            raise UserError(
                f"decision {decision.name} has {len(decision.choices):,} choices; "
                f"give at most {MOST_CHOICES:,}"
            )
    decisions = [{"name": d.name, "choices": list(d.choices)} for d in record.space.decisions]
    return {
        "name": record.name,
        "created": record.created or datetime.now(UTC).isoformat(timespec="seconds"),
        "decisions": _json(decisions),
        "metrics": _json(record.columns),
        "settings": _json(record.settings.as_json() | {DESCRIBED: _described(record.metrics)}),
        "fingerprint": _json(dict(record.fingerprint)),
        "config": record.config,
        "finished": record.finished,
        "holder": None if record.holder is None else _json(dict(record.holder)),
    }


def from_row(row: Mapping[str, Any]) -> StudyRecord:
    """The study of a row; its choices are JSON values."""
    decisions = tuple(Decision(d["name"], tuple(d["choices"])) for d in json.loads(row["decisions"]))
    settings = json.loads(row["settings"])
    metrics = _metrics(json.loads(row["metrics"]), settings.get(DESCRIBED, {}))
    made = StudyRecord(
        name=row["name"],
        space=Space(decisions),
        metrics=metrics,
        settings=StudySettings.from_json(settings, metrics),
        fingerprint=json.loads(row["fingerprint"]),
        config=row["config"],
        created=row["created"],
        finished=row["finished"],
        holder=None if row["holder"] is None else json.loads(row["holder"]),
        id=row["id"],
    )
    check_record(made)
    return made


def check_record(record: StudyRecord) -> None:
    """Raises ValueError or TypeError for a study that no search has stored."""
    settings, names = record.settings, [decision.name for decision in record.space.decisions]
    texts = [record.name, record.config, record.created, record.finished or "", *names, *record.columns]
    texts += [settings.data, settings.model or "", settings.strategy or ""]
    texts += [*record.fingerprint, *record.fingerprint.values()]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a text that is none")
    if not all(isinstance(value, int | float) for value in settings.float_metrics.values()):
        raise TypeError("a figure that is none")
    needed = {objective.name for objective in settings.aim.objectives}
    if not needed or not needed <= set(record.columns) or len(set(record.columns)) != len(record.columns):
        raise ValueError("objectives that are no metrics")
    if len(set(names)) != len(names) or not all(d.choices for d in record.space.decisions):
        raise ValueError("decisions that are none")
    if type(settings.repeats) is not int or settings.repeats < 1:
        raise ValueError("a number of trainings that is none")


def _described(metrics: Sequence[Metric]) -> dict[str, Any]:
    return {metric.name: metric_to_json(metric) for metric in metrics}


def _metrics(names: Sequence[str], described: Mapping[str, Any]) -> tuple[Metric, ...]:
    """The metrics of columns with these names, as they were described where they were.

    No migration: the column `metrics` is a list of names as before, and what is new stands beside it, so a
    database that may only be read needs no change, and an older widthwise that shares it still reads it.
    """
    return tuple(
        metric_from_json(described[name]) if name in described else metric_of_name(name) for name in names
    )


def _json(value: Any) -> str:
    return json.dumps(value, default=jsonable, ensure_ascii=False, separators=(",", ":"))
