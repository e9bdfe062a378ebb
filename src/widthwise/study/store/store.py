"""A database of studies: make one, find them, read their trials back in blocks, delete one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError, unknown
from widthwise.evaluators.protocol import STOPPED
from widthwise.study.store import database, schema
from widthwise.study.store.checksums import of_batches, of_study
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
from widthwise.study.store.rows import DamagedError, groups_of, is_batch, lost, sound_block, told_as_damage
from widthwise.study.store.soundness import check_sqlite
from widthwise.study.store.trouble import told_as_user_error

_studies, _batches, _heads = schema.studies, schema.batches, schema.heads
_trials, _failures = schema.trials, schema.failures
_NO_CHECKSUM = sa.null().label("checksum")


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
        self.checked = True  # whether it has checksums: one of an older version that is only read has none
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
        try:
            with told_as_user_error(store.name):
                database.create_schema(store.connection)
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def open(cls, target: str | Path, *, readonly: bool = False) -> Self:
        """A database that exists, checked and brought up to date."""
        path = database.sqlite_path(target)
        if path is not None:
            check_sqlite(path, may_write=not readonly)
        store = cls._connected(target, path, mode="reading" if readonly else "rw")
        try:
            with told_as_user_error(store.name):
                store.checked = database.bring_up_to_date(
                    store.connection, store.name, may_write=not readonly
                )
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
        row = to_row(record)
        with told_as_user_error(self.name):
            try:
                done = self.connection.execute(sa.insert(_studies).values(**row))
                made = int(done.inserted_primary_key[0])  # type: ignore[index]  # one row gives one
                seal_study(self.connection, {**row, "id": made})
                head = {"study_id": made, "batches": 0, "trials": 0, "checksum": of_batches([])}
                self.connection.execute(sa.insert(_heads), head)
                self.connection.commit()
            except IntegrityError as error:
                self.connection.rollback()
                raise UserError(
                    f"{self.name}: has a study named {record.name} already; resume it or choose another name"
                ) from error
            except Exception:
                self.connection.rollback()
                raise
        return replace(record, id=made)

    def studies(self) -> list[StudyRecord]:
        """All studies, oldest first; raises DamagedError where one is not what was written."""
        return [self._record(row) for row in self._study_rows()]

    def find(self, name: str | None = None) -> StudyRecord:
        """The study of this name; without a name the only one. Raises UserError where there is none."""
        rows = self._study_rows()
        if name is None and len(rows) == 1:
            return self._record(rows[0])
        names = [str(row.name) for row in rows]
        if not rows:
            raise UserError(f"{self.name}: holds no study; its search stopped before anything was stored")
        if name is None:
            raise UserError(f"{self.name}: holds {len(rows)} studies; name one of {', '.join(names)}")
        if name not in names:
            raise unknown("study", name, names, where=self.name)
        return self._record(rows[names.index(name)])

    def summary(self, study: StudyRecord) -> Summary:
        """Counts over the whole study; raises DamagedError where there is less than was stored."""
        c, total, h = _batches.c, sa.func.coalesce, _heads.c
        expected = (
            sa.select(h.batches, h.trials).where(h.study_id == study.id).subquery() if self.checked else None
        )
        counted = [
            total(sa.func.sum(c.evaluated), 0),
            total(sa.func.sum(c.asked), 0),
            sa.func.count(c.number),
            total(sa.func.max(c.elapsed), 0.0),
        ]
        known = [] if expected is None else [sa.select(x).scalar_subquery() for x in expected.c]
        (row,) = self.rows(sa.select(*counted, *known).where(c.study_id == study.id))
        early = sa.case((sa.or_(*map(_failures.c.reason.startswith, STOPPED)), 1), else_=0)
        (without,) = self.rows(
            sa.select(sa.func.count(), total(sa.func.sum(early), 0)).where(_failures.c.study_id == study.id)
        )
        with told_as_damage(self.name, study):
            trials, batches = int(row[0]), int(row[2])
            if expected is not None and (batches, trials) != tuple(row[4:]):
                raise lost(self.name, study, batches, row[4])
            stopped = int(without[1])
            failed, cut = int(without[0]) - stopped, int(row[1]) - trials
            return Summary(trials, failed, stopped, cut, batches, float(row[3]))

    def checksum_of_batches(self, study: StudyRecord) -> int:
        """That of all that are stored, as the store knows it."""
        here = _heads.c.study_id == study.id
        found = self.rows(sa.select(_heads.c.checksum).where(here))
        if not found:
            raise lost(self.name, study, 0, None)
        return int(found[0][0])

    def count(self, study: StudyRecord) -> int:
        """How many trials have a row of their own: all that were evaluated, unless only the front is kept."""
        here = _trials.c.study_id == study.id
        return int(self.rows(sa.select(sa.func.count()).select_from(_trials).where(here))[0][0])

    def seconds(self, study: StudyRecord) -> Shares:
        """What each trial took, to be asked by number."""
        c = _batches.c
        rows = self.rows(
            sa.select(c.first, c.seconds / c.evaluated)
            .where(c.study_id == study.id, c.evaluated > 0)
            .order_by(c.number)
        )
        first, share = zip(*rows, strict=True) if rows else ((), ())
        with told_as_damage(self.name, study):
            return Shares(np.array(first, dtype=np.int64), np.array(share, dtype=np.float64))

    def times(self, study: StudyRecord) -> tuple[IntArray, FloatArray]:
        """Of batches with trials: the number after their last one [B], time on the study until then [B]."""
        c = _batches.c
        rows = self.rows(
            sa.select(c.first + c.evaluated, c.elapsed)
            .where(c.study_id == study.id, c.evaluated > 0)
            .order_by(c.number)
        )
        ends, elapsed = zip(*rows, strict=True) if rows else ((), ())
        with told_as_damage(self.name, study):
            return np.array(ends, dtype=np.int64), np.array(elapsed, dtype=np.float64)

    def blocks(self, study: StudyRecord, *, start: int = 0, stop: int | None = None) -> Iterator[Block]:
        """The stored trials with start <= number < stop, in the order of their numbers, a block at a time.

        A block holds whole batches, which are compared with their checksums; raises DamagedError.
        """
        c = _batches.c
        whole = start <= 0 and stop is None
        within = [] if stop is None else [c.first < stop]
        head = self._head(study)  # before the rows: of those that come meanwhile it knows nothing
        batches = self.batch_rows(study, *([] if whole else [c.first + c.evaluated > start, *within]))
        for group in groups_of(batches):
            block = self.sound_block(study, group)
            if not whole:
                block = block.rows(start, group[-1].first + group[-1].evaluated if stop is None else stop)
            if len(block.numbers):
                yield block
        if whole:
            self._check_whole(study, batches, head)

    def groups(self, study: StudyRecord) -> Iterator[StoredBatches]:
        """The batches in their order with their trials, many at a time; raises DamagedError."""
        head, rows = self._head(study), self.batch_rows(study)
        for group in groups_of(rows):
            with told_as_damage(self.name, study):
                batches = [_batch(row) for row in group]
            yield StoredBatches(batches, self.sound_block(study, group))
        self._check_whole(study, rows, head)

    def sound_block(self, study: StudyRecord, rows: list[Any]) -> Block:
        """The trials of batches that follow one another, given by their rows; raises DamagedError."""
        return sound_block(self.rows, study, rows, self.name, checked=self.checked)

    @staticmethod
    def cut_of(row: Any) -> dict[int, tuple[int, ...]]:
        """The candidates of a batch that were out of bounds, by their row among those proposed."""
        return {int(k): tuple(c) for k, c in json.loads(row.cut or "{}").items()}

    def remove_study(self, study: StudyRecord) -> None:
        """Delete a study and all its trials."""
        with told_as_user_error(self.name):
            for table in (_trials, _failures, _batches, _heads):
                self.connection.execute(sa.delete(table).where(table.c.study_id == study.id))
            self.connection.execute(sa.delete(_studies).where(_studies.c.id == study.id))
            self.connection.commit()

    def _study_rows(self) -> list[Any]:
        return self.rows(sa.select(*self._columns(_studies)).order_by(_studies.c.id))

    def _record(self, row: Any) -> StudyRecord:
        """The study of a row, if it is what was written."""
        if not self.checked or row.checksum == of_study(row._mapping):
            with suppress(ValueError, TypeError, AttributeError, LookupError, OverflowError, RecursionError):
                return from_row(row._mapping)
        raise DamagedError(
            f"{self.name}: the record of study {row.name} is damaged, its checksum differs; "
            "restore it from a copy"
        )

    def batch_rows(self, study: StudyRecord, *where: sa.ColumnElement[bool]) -> list[Any]:
        """The rows of batches in their order."""
        columns = self._columns(_batches) if self.checked else [*self._columns(_batches), _NO_CHECKSUM]
        here = _batches.c.study_id == study.id
        rows = self.rows(sa.select(*columns).where(here, *where).order_by(_batches.c.number))
        looked_at = rows if not self.checked else ()  # of others the checksum tells
        if not all(type(row.evaluated) is int for row in rows) or not all(map(is_batch, looked_at)):
            raise lost(self.name, study, 0, None)
        return rows

    def _columns(self, table: sa.Table) -> list[sa.Column[Any]]:
        return [column for column in table.c if self.checked or column.name != "checksum"]

    def _head(self, study: StudyRecord) -> Any:
        """How many batches were stored, and their checksum; None where the store has none."""
        if not self.checked:
            return None
        return next(iter(self.rows(sa.select(_heads).where(_heads.c.study_id == study.id))), None)

    def _check_whole(self, study: StudyRecord, rows: list[Any], head: Any) -> None:
        """Raises DamagedError where the batches are not those that were stored, one after another.

        head: as it was before the rows were read; batches that came since are not among what it tells of.
        """
        if not self.checked:
            return
        known = rows[: head.batches] if head is not None else rows
        first = 0
        for number, row in enumerate(known):
            if (row.number, row.first) != (number, first):
                raise lost(self.name, study, number, None if head is None else head.batches)
            first += row.evaluated
        if head is None or (len(known), first) != (head.batches, head.trials) or (
            of_batches([row.checksum for row in known]) != head.checksum
        ):  # fmt: skip
            raise lost(self.name, study, len(known), None if head is None else head.batches)

    def rows(self, statement: sa.Executable) -> list[Any]:
        """What a statement finds; troubles of the database are UserErrors."""
        with told_as_user_error(self.name):
            rows = list(self.connection.execute(statement).all())
            self.connection.rollback()  # a transaction left open would hide what others commit
            return rows


def seal_study(connection: sa.Connection, row: Mapping[str, Any]) -> None:
    """Put the checksum of a study's row into it."""
    here = _studies.c.id == row["id"]
    connection.execute(sa.update(_studies).where(here).values(checksum=of_study(row)))


def _batch(row: Any) -> StoredBatch:
    cut = Store.cut_of(row)
    return StoredBatch(row.number, row.first, row.asked, row.evaluated, cut, row.seconds, row.elapsed)
