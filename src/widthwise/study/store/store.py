"""A database of studies: make one, find them, read their trials back in blocks, delete one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from widthwise.core.errors import UserError, unknown
from widthwise.study.store import database, schema
from widthwise.study.store.codec import text_to_candidates, text_to_metrics
from widthwise.study.store.lock import cut_in_children
from widthwise.study.store.records import (
    Block,
    Shares,
    StoredBatch,
    StoredBatches,
    StudyRecord,
    Summary,
    from_row,
    to_row,
)
from widthwise.study.store.trouble import told_as_user_error

BLOCK = 20_000  # trials read at once: a few megabytes of text

_studies, _batches, _trials, _failures = schema.studies, schema.batches, schema.trials, schema.failures


class Store:
    """A SQLite file (given by path) or a PostgreSQL database (by URL), open until `close`.

    Opening never changes a database that is damaged or none of ours; raises UserError for whatever keeps it
    from being used.
    """

    def __init__(self, engine: sa.Engine, source: str | Path) -> None:
        self.engine = engine
        self.source = source
        self.path = database.sqlite_path(source)
        self.name = database.display_name(source)
        with told_as_user_error(self.name):
            self.connection = engine.connect()
        if self.path is None:
            cut_in_children(self.connection)

    @classmethod
    def create(cls, target: str | Path) -> Self:
        """A new SQLite file, which must not exist, or a PostgreSQL database with or without our tables."""
        path = database.sqlite_path(target)
        if path is not None and path.exists():
            raise UserError(f"{path}: exists already; resume it or choose another place")
        if path is not None and not path.parent.is_dir():
            raise UserError(f"{path}: its folder {path.parent} does not exist; make it first")
        store = cls._connected(target, path, mode="rwc")
        with told_as_user_error(store.name):
            database.create_schema(store.connection)
        return store

    @classmethod
    def open(cls, target: str | Path, *, readonly: bool = False) -> Self:
        """A database that exists, checked and brought up to date."""
        path = database.sqlite_path(target)
        if path is not None:
            database.check_sqlite(path, may_write=not readonly)
        store = cls._connected(target, path, mode="reading" if readonly else "rw")
        try:
            with told_as_user_error(store.name):
                database.bring_up_to_date(store.connection, store.name, may_write=not readonly)
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def _connected(cls, target: str | Path, path: Path | None, *, mode: database.Mode) -> Self:
        if path is not None:
            return cls(database.connect_sqlite(path, mode=mode), path)
        return cls(database.connect_server(str(target)), target)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all connections; the store can't be used afterwards."""
        self.connection.close()
        self.engine.dispose()

    def create_study(self, record: StudyRecord) -> StudyRecord:
        """The study as stored, with its id; its name must be new in this database."""
        with told_as_user_error(self.name):
            try:
                done = self.connection.execute(sa.insert(_studies).values(**to_row(record)))
                self.connection.commit()
            except IntegrityError as error:
                self.connection.rollback()
                raise UserError(
                    f"{self.name}: has a study named {record.name} already; resume it or choose another name"
                ) from error
        return replace(record, id=int(done.inserted_primary_key[0]))  # type: ignore[index]  # one row gives one

    def studies(self) -> list[StudyRecord]:
        """All studies, oldest first."""
        rows = self._rows(sa.select(_studies).order_by(_studies.c.id))
        return [from_row(row._mapping) for row in rows]

    def find(self, name: str | None = None) -> StudyRecord:
        """The study of this name; without a name the only one. Raises UserError where there is none."""
        studies = self.studies()
        if name is None and len(studies) == 1:
            return studies[0]
        names = [study.name for study in studies]
        if not studies:
            raise UserError(f"{self.name}: holds no study; its search stopped before anything was stored")
        if name is None:
            raise UserError(f"{self.name}: holds {len(studies)} studies; name one of {', '.join(names)}")
        if name not in names:
            raise unknown("study", name, names, where=self.name)
        return studies[names.index(name)]

    def summary(self, study: StudyRecord) -> Summary:
        """Counts over the whole study."""
        c, total = _batches.c, sa.func.coalesce
        (row,) = self._rows(
            sa.select(
                total(sa.func.sum(c.evaluated), 0),
                total(sa.func.sum(c.asked), 0),
                sa.func.count(),
                total(sa.func.max(c.elapsed), 0.0),
            ).where(c.study_id == study.id)
        )
        (failed,) = self._rows(
            sa.select(sa.func.count()).select_from(_failures).where(_failures.c.study_id == study.id)
        )
        trials = int(row[0])
        return Summary(trials, int(failed[0]), int(row[1]) - trials, int(row[2]), float(row[3]))

    def count(self, study: StudyRecord) -> int:
        """How many trials have a row of their own: all that were evaluated, unless only the front is kept."""
        here = _trials.c.study_id == study.id
        return int(self._rows(sa.select(sa.func.count()).select_from(_trials).where(here))[0][0])

    def seconds(self, study: StudyRecord) -> Shares:
        """What each trial took, to be asked by number."""
        c = _batches.c
        rows = self._rows(
            sa.select(c.first, c.seconds / c.evaluated)
            .where(c.study_id == study.id, c.evaluated > 0)
            .order_by(c.number)
        )
        first, share = zip(*rows, strict=True) if rows else ((), ())
        return Shares(np.array(first, dtype=np.int64), np.array(share, dtype=np.float64))

    def blocks(self, study: StudyRecord, *, start: int = 0, stop: int | None = None) -> Iterator[Block]:
        """The stored trials with start <= number < stop, in the order of their numbers, a block at a time."""
        end = self.summary(study).trials if stop is None else stop
        for low in range(start, end, BLOCK):
            block = self._block(study, low, min(low + BLOCK, end))
            if len(block.numbers):
                yield block

    def groups(self, study: StudyRecord) -> Iterator[StoredBatches]:
        """The batches in their order with their trials, many at a time."""
        group: list[Any] = []
        held = 0
        c = _batches.c
        for row in self._rows(sa.select(_batches).where(c.study_id == study.id).order_by(c.number)):
            group.append(row)
            held += row.evaluated
            if held >= BLOCK:
                yield self._group(study, group)
                group, held = [], 0
        if group:
            yield self._group(study, group)

    def remove_study(self, study: StudyRecord) -> None:
        """Delete a study and all its trials."""
        with told_as_user_error(self.name):
            for table in (_trials, _failures, _batches):
                self.connection.execute(sa.delete(table).where(table.c.study_id == study.id))
            self.connection.execute(sa.delete(_studies).where(_studies.c.id == study.id))
            self.connection.commit()

    def _group(self, study: StudyRecord, rows: list[Any]) -> StoredBatches:
        batches = [
            StoredBatch(row.number, row.first, row.asked, row.evaluated, _cut(row), row.seconds, row.elapsed)
            for row in rows
        ]
        return StoredBatches(batches, self._block(study, rows[0].first, rows[-1].first + rows[-1].evaluated))

    def _block(self, study: StudyRecord, start: int, stop: int) -> Block:
        """The trials of a range of numbers; the database joins their texts, and makes no object a row."""
        c = _trials.c
        joined = (
            sa.func.aggregate_strings(sa.cast(c.number, sa.Text), ","),
            sa.func.aggregate_strings(c.candidate, ""),
            sa.func.aggregate_strings(c.metrics, ","),
        )
        here = (c.study_id == study.id, c.number >= start, c.number < stop)
        ((numbers, candidates, metrics),) = self._rows(sa.select(*joined).where(*here))
        found = np.array(numbers.split(",") if numbers else [], dtype=np.int64)
        f = _failures.c
        failed = self._rows(
            sa.select(f.number, f.reason).where(f.study_id == study.id, f.number >= start, f.number < stop)
        )
        block = Block(
            found,
            text_to_candidates(candidates or "", len(found), len(study.space.decisions)),
            text_to_metrics(metrics or "", len(found), len(study.metrics)),
            {int(number): reason for number, reason in failed},
        )
        order = np.argsort(found, kind="stable")  # SQL promises no order of what it joins
        if (order == np.arange(len(order))).all():
            return block
        return replace(
            block, numbers=found[order], candidates=block.candidates[order], metrics=block.metrics[order]
        )

    def _rows(self, statement: sa.Executable) -> list[Any]:
        with told_as_user_error(self.name):
            rows = list(self.connection.execute(statement).all())
            self.connection.rollback()  # a transaction left open would hide what others commit
            return rows


def _cut(row: Any) -> dict[int, tuple[int, ...]]:
    """Candidates out of bounds by their row in the batch."""
    if row.cut is None:
        return {}
    return {int(number): tuple(candidate) for number, candidate in json.loads(row.cut).items()}
