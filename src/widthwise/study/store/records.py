"""What a store holds, as values: a study, a batch of its trials, a block of trials read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.core.hashing import jsonable
from widthwise.spaces.space import Decision, Space
from widthwise.study.store.codec import MOST_CHOICES


@dataclass(frozen=True)
class StudyRecord:
    """A study as stored, without its trials.

    metrics: the names of the columns of a trial's metrics.
    settings: what else a reader of the trials must know, as JSON values (aim, float metrics, what is kept).
    fingerprint: everything that changes results: its name to its value or hash.
    finished: why the search ended, None while it may go on.
    """

    name: str
    space: Space
    metrics: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    config: str = ""
    created: str = ""
    finished: str | None = None
    holder: Mapping[str, Any] | None = None
    id: int = 0


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
    trials: Block


@dataclass(frozen=True)
class Summary:
    """Counts over a study: trials evaluated, failed, candidates cut, batches, seconds spent."""

    trials: int = 0
    failed: int = 0
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
        "metrics": _json(list(record.metrics)),
        "settings": _json(dict(record.settings)),
        "fingerprint": _json(dict(record.fingerprint)),
        "config": record.config,
        "finished": record.finished,
        "holder": None if record.holder is None else _json(dict(record.holder)),
    }


def from_row(row: Mapping[str, Any]) -> StudyRecord:
    """The study of a row; its choices are JSON values."""
    decisions = tuple(Decision(d["name"], tuple(d["choices"])) for d in json.loads(row["decisions"]))
    return StudyRecord(
        name=row["name"],
        space=Space(decisions),
        metrics=tuple(json.loads(row["metrics"])),
        settings=json.loads(row["settings"]),
        fingerprint=json.loads(row["fingerprint"]),
        config=row["config"],
        created=row["created"],
        finished=row["finished"],
        holder=None if row["holder"] is None else json.loads(row["holder"]),
        id=row["id"],
    )


def _json(value: Any) -> str:
    return json.dumps(value, default=jsonable, ensure_ascii=False, separators=(",", ":"))
