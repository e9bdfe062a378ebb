"""Which batches of a store are what was written: all are looked at, whatever is wrong with some."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from widthwise.core.errors import UserError
from widthwise.study.store import database, schema
from widthwise.study.store.records import Block, StudyRecord
from widthwise.study.store.rows import BLOCK, DamagedError
from widthwise.study.store.store import Store
from widthwise.study.store.writer import StudyWriter

LEAST_BYTES = 8  # of a batch in a file


@dataclass(frozen=True)
class Sound:
    """What of a study is as it was written.

    rows: those of its batches by number, None for a damaged one. trials: that it had, where that is known.
    """

    study: StudyRecord
    rows: tuple[Any | None, ...]
    trials: int | None

    @property
    def damaged(self) -> tuple[int, ...]:
        """The numbers of the damaged batches."""
        return tuple(number for number, row in enumerate(self.rows) if row is None)

    @property
    def places(self) -> list[tuple[int, int]]:
        """The first trial of each batch, and how many were evaluated, as far as the others tell."""
        after, ends = self.trials, []
        for row in reversed(self.rows):
            ends.append(after)
            after = after if row is None else row.first
        found, first = [], 0
        for row, end in zip(self.rows, reversed(ends), strict=True):
            known = first if end is None else end
            count = max(known - first, 0) if row is None else int(row.evaluated)
            found.append((first, count))
            first += count
        return found


def open_damaged(source: str | Path) -> Store:
    """A store to read what can be read, without the checks that keep a damaged one from being opened."""
    path = database.sqlite_path(source)
    if path is None:
        return Store.open(source, readonly=True)
    store = Store(database.connect_sqlite(path, mode="ro"), path)
    try:
        store.checked = database.schema_version(store.connection) != schema.UNCHECKED
    except Exception as error:  # of a database that may have anything in it
        store.close()
        raise UserError(f"{path}: nothing can be read of it; restore it from a copy") from error
    store.connection.rollback()
    return store


def sound_of(store: Store, study: StudyRecord) -> Sound:
    """Looks at every batch of a study."""
    count, trials = _counts(store, study)
    if store.path is not None:  # numbers may be anything, but every batch takes some bytes
        count = min(count, store.path.stat().st_size // LEAST_BYTES)
    rows = _rows(store, study, count)
    found: list[Any | None] = []
    for group in _together(rows):
        if _is_sound(store, study, group):
            found += group
        else:
            found += [row if _is_sound(store, study, [row]) else None for row in group]
    return Sound(study, tuple(found), trials)


def copy_sound(found: Sound, store: Store, writer: StudyWriter) -> int:
    """Appends what is sound to another study, and counts for the rest; how many trials were copied."""
    copied, elapsed = 0, 0.0
    for row, (first, count) in zip(found.rows, found.places, strict=True):
        block = None if row is None else store.sound_block(found.study, [row])
        elapsed = elapsed if row is None else row.elapsed
        _append(writer, block, row, first, count, elapsed)
        copied += 0 if block is None else len(block.numbers)
    return copied


def _append(
    writer: StudyWriter, block: Block | None, row: Any | None, first: int, count: int, elapsed: float
) -> None:
    study = writer.study
    candidates = np.zeros((count, len(study.space.decisions)), dtype=np.int64)
    values = np.full((count, len(study.metrics)), np.nan)
    written = np.zeros(count, dtype=bool)
    reasons: dict[int, str] = {}
    if block is not None:
        there = block.numbers - first
        candidates[there], values[there], written[there] = block.candidates, block.metrics, True
        reasons = {number - first: reason for number, reason in block.reasons.items()}
    writer.append(
        candidates,
        dict(zip(study.columns, values.T, strict=True)),
        reasons,
        seconds=0.0 if row is None else row.seconds,
        elapsed=elapsed,
        written=written,
        asked=None if row is None else row.asked,
        cut=None if row is None else Store.cut_of(row),
    )


def _counts(store: Store, study: StudyRecord) -> tuple[int, int | None]:
    """How many batches and trials a study has, by its head; else by its last batch."""
    h, c = schema.heads.c, schema.batches.c
    if store.checked:
        try:
            ((batches, trials),) = store.rows(sa.select(h.batches, h.trials).where(h.study_id == study.id))
            return int(batches), int(trials)
        except (UserError, ValueError, TypeError):
            pass
    try:
        ((last,),) = store.rows(sa.select(sa.func.max(c.number)).where(c.study_id == study.id))
        return (0 if last is None else int(last) + 1), None
    except (UserError, ValueError, TypeError, OverflowError):
        return 0, None


def _rows(store: Store, study: StudyRecord, count: int) -> list[Any | None]:
    """The row of each batch, None where it can't be read or is none."""
    try:
        every = store.batch_rows(study)
    except UserError:
        every = []
        for number in range(count):
            try:
                every += store.batch_rows(study, schema.batches.c.number == number)
            except UserError:
                continue
    by_number = {row.number: row for row in every}
    return [by_number.get(number) for number in range(count)]


def _together(rows: Sequence[Any | None]) -> Iterator[list[Any | None]]:
    """Rows that follow one another without a gap, so many that their trials are a block; gaps alone."""
    group: list[Any | None] = []
    held = 0
    for row in rows:
        if row is None or held >= BLOCK or (group and _after(group[-1]) != row.first):
            if group:
                yield group
            group, held = [], 0
        if row is None:
            yield [None]
            continue
        group.append(row)
        held += row.evaluated
    if group:
        yield group


def _after(row: Any) -> int:
    return int(row.first + row.evaluated)


def _is_sound(store: Store, study: StudyRecord, rows: Sequence[Any | None]) -> bool:
    if any(row is None for row in rows):
        return False
    try:
        store.sound_block(study, list(rows))
    except (DamagedError, UserError, TypeError):
        return False
    return True
