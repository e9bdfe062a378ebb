"""Trials as the database has them: read as text in bulk, compared with their checksums, made arrays."""

from __future__ import annotations

import re
import struct
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa

from widthwise.core.arrays import IntArray
from widthwise.core.errors import UserError
from widthwise.study.store import checksums, schema
from widthwise.study.store.codec import text_to_candidates, text_to_metrics
from widthwise.study.store.records import Block, StudyRecord

LARGEST = 2**53  # number of a trial
BLOCK = 20_000  # trials read at once: a few megabytes of text

Query = Callable[[sa.Executable], list[Any]]


class DamagedError(UserError):
    """What is stored is not what was written; `batches` are the numbers of those that are damaged."""

    batches: tuple[int, ...] = ()


@dataclass(frozen=True)
class Rows:
    """Trials as they are stored: numbers [k] ascending, candidates and metrics as one text each."""

    numbers: IntArray
    candidates: str
    metrics: str
    failures: tuple[tuple[int, str], ...]

    def block(self, study: StudyRecord) -> Block:
        """As arrays; raises ValueError for what is no trial of the study."""
        decisions = study.space.decisions
        candidates = text_to_candidates(self.candidates, len(self.numbers), len(decisions))
        if (candidates < 0).any() or (candidates >= [len(d.choices) for d in decisions]).any():
            raise ValueError("a choice that there is not")
        metrics = text_to_metrics(self.metrics, len(self.numbers), len(study.metrics))
        return Block(self.numbers, candidates, metrics, dict(self.failures))


def read_rows(query: Query, study: StudyRecord, start: int, stop: int) -> Rows:
    """The trials with start <= number < stop; raises ValueError where texts don't belong together.

    The database joins their texts, and makes no object a row.
    """
    c = schema.trials.c
    joined = (
        sa.func.aggregate_strings(sa.cast(c.number, sa.Text), ","),
        sa.func.aggregate_strings(c.candidate, ""),
        sa.func.aggregate_strings(c.metrics, ","),
    )
    here = (c.study_id == study.id, c.number >= start, c.number < stop)
    ((numbers, candidates, metrics),) = query(sa.select(*joined).where(*here))
    f = schema.failures.c
    failed = query(
        sa.select(f.number, f.reason)
        .where(f.study_id == study.id, f.number >= start, f.number < stop)
        .order_by(f.number)
    )
    found = np.array(numbers.split(",") if numbers else [], dtype=np.int64)
    reasons = tuple((int(number), str(reason)) for number, reason in failed)
    rows = Rows(found, candidates or "", metrics or "", reasons)
    return rows if (np.diff(found) > 0).all() else _in_order(rows, len(study.space.decisions))


def _in_order(rows: Rows, decisions: int) -> Rows:
    """By number: SQL promises no order of what it joins."""
    order = np.argsort(rows.numbers, kind="stable")
    candidates = [rows.candidates[i * decisions : (i + 1) * decisions] for i in order]
    metrics = re.findall(r"\[[^\]]*\]", rows.metrics)
    if len(metrics) != len(order):
        raise ValueError("metrics that are no lists")
    return Rows(rows.numbers[order], "".join(candidates), ",".join(metrics[i] for i in order), rows.failures)


def differing(batches: Sequence[Any], rows: Rows, study: StudyRecord) -> list[int]:
    """The numbers of those batches whose checksums are others than they should be, of several at once.

    batches: their rows; rows: all their trials, at least. Raises ValueError where texts of them have other
    lengths than they should.
    """
    text, decisions, count = rows.metrics, len(study.space.decisions), len(rows.numbers)
    ends = np.flatnonzero(np.frombuffer(text.encode(), dtype=np.uint8) == ord("]")) + 1
    if not text.isascii() or len(ends) != count or len(rows.candidates) != count * decisions:
        raise ValueError("texts of another length")
    begins = np.concatenate([[0], ends + 1]).tolist()  # of each trial's metrics, and of one after the last
    firsts = np.array([batch.first for batch in batches], dtype=np.int64)
    lows = rows.numbers.searchsorted(firsts).tolist()
    highs = rows.numbers.searchsorted(firsts + [batch.evaluated for batch in batches]).tolist()
    failed = [number for number, _ in rows.failures]
    found = []
    for batch, low, high in zip(batches, lows, highs, strict=True):
        failures = rows.failures[
            bisect_left(failed, batch.first) : bisect_left(failed, batch.first + batch.evaluated)
        ]
        checksum = checksums.of_batch(
            batch._mapping,
            rows.numbers[low:high],
            rows.candidates[low * decisions : high * decisions],
            text[begins[low] : max(begins[high] - 1, begins[low])],
            failures,
        )
        if checksum != batch.checksum:
            found.append(int(batch.number))
    return found


def is_batch(row: Any) -> bool:
    """Whether a batch's row can be one, where no checksum tells."""
    counts = (row.number, row.first, row.asked, row.evaluated)
    if not all(type(value) is int and 0 <= value < LARGEST for value in counts):
        return False
    return all(isinstance(value, int | float) for value in (row.seconds, row.elapsed))


def groups_of(batches: list[Any]) -> Iterator[list[Any]]:
    """Rows of batches, so many together that their trials are a block."""
    group: list[Any] = []
    held = 0
    for row in batches:
        group.append(row)
        held += row.evaluated
        if held >= BLOCK:
            yield group
            group, held = [], 0
    if group:
        yield group


def sound_block(
    query: Query, study: StudyRecord, batches: Sequence[Any], name: str, *, checked: bool
) -> Block:
    """The trials of batches that follow one another; raises DamagedError that names the damaged ones.

    checked: whether they have checksums; without them only what is no trial at all is found.
    """
    found = _read_sound(query, study, batches, checked=checked)
    if found is not None:
        return found
    alone = [batch for batch in batches if _read_sound(query, study, [batch], checked=checked) is None]
    raise damaged(name, study, alone or batches)


def _read_sound(query: Query, study: StudyRecord, batches: Sequence[Any], *, checked: bool) -> Block | None:
    """The trials of batches, None where they are not all what was written."""
    try:
        rows = read_rows(query, study, batches[0].first, batches[-1].first + batches[-1].evaluated)
        return None if checked and differing(batches, rows, study) else rows.block(study)
    except UserError:  # of the database itself
        raise
    except (ValueError, OverflowError, TypeError, struct.error):
        return None


@contextmanager
def told_as_damage(name: str, study: StudyRecord) -> Iterator[None]:
    """What can't be read as what it should be is damage."""
    try:
        yield
    except UserError:
        raise
    except (ValueError, TypeError, OverflowError, AttributeError, RecursionError) as error:
        raise lost(name, study, 0, None) from error


def lost(name: str, study: StudyRecord, found: int, expected: int | None) -> DamagedError:
    """What is said where batches are not those that were stored; the first `found` are."""
    return DamagedError(
        f"{name}: study {study.name}: is damaged: of {expected or 'its'} batches the first {found} are there "
        f"as they were stored; {ADVICE}"
    )


def damaged(name: str, study: StudyRecord, batches: Sequence[Any]) -> DamagedError:
    """What is said of damaged batches; `batches` are their rows."""
    told = [
        f"batch {batch.number} (trials {batch.first} to {batch.first + batch.evaluated - 1})"
        for batch in batches[:LISTED]
    ]
    more = f" and {len(batches) - LISTED} more" if len(batches) > LISTED else ""
    error = DamagedError(
        f"{name}: study {study.name}: {', '.join(told)}{more}: damaged, its checksum differs; {ADVICE}"
    )
    error.batches = tuple(int(batch.number) for batch in batches)
    return error


LISTED = 8  # batches in an error
ADVICE = (
    "restore it from a copy, or save what is sound into another run: `widthwise check RUN --salvage FOLDER`"
)
