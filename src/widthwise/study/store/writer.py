"""Appending to one study: the lock that makes its holder the only writer, and a batch a transaction."""

from __future__ import annotations

import json
import math
import os
import socket
import sqlite3
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.dialects.postgresql import ARRAY

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.study.store import schema
from widthwise.study.store.checksums import of_batch, of_batches
from widthwise.study.store.codec import candidates_to_text, metrics_to_text
from widthwise.study.store.guard import FileGuard
from widthwise.study.store.lock import AdvisoryLock, FileLock, WriterLock
from widthwise.study.store.records import StudyRecord, from_row
from widthwise.study.store.store import Store, seal_study
from widthwise.study.store.trouble import told_as_user_error

LONGEST_REASON = 1000
SYNC_SECONDS = 1.0


class StudyWriter:
    """The one writer of a study; `store` may be read through at the same time.

    Making one raises UserError where another search holds the study, and says which.
    """

    def __init__(self, store: Store, study: StudyRecord) -> None:
        self.store = store
        self.study = study
        self._synced = -math.inf
        self._lock = _lock(store, study)
        self._hold()
        summary = store.summary(study)
        self.trials = summary.trials
        self.batches = summary.batches
        self._checksum = store.checksum_of_batches(study)
        self._guard = FileGuard(store.path) if store.path else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(
        self,
        candidates: IntArray,
        metrics: Mapping[str, FloatArray],
        failures: Mapping[int, str],
        *,
        seconds: float,
        elapsed: float,
        written: NDArray[np.bool_] | None = None,
        asked: int | None = None,
        cut: Mapping[int, Iterable[int]] | None = None,
    ) -> int:
        """Store a batch in one transaction; returns the number of its first trial.

        candidates [K, D] and metrics [K] are those evaluated, failures says by row why some failed.
        `written` [K] are the trials worth a row of their own (None: all); the others are counted only.
        `asked` is how many candidates the strategy proposed, `cut` those by row that were out of bounds.
        Raises UserError where it can't be stored; everything stored before is kept then.
        """
        first, count = self.trials, len(candidates)
        rows = np.arange(count) if written is None else np.flatnonzero(written)
        values = np.stack([metrics[name] for name in self.study.columns], axis=1) if self.study.metrics else (
            np.empty((count, 0))
        )  # fmt: skip
        out = {str(row): [int(choice) for choice in candidate] for row, candidate in (cut or {}).items()}
        batch: dict[str, Any] = {
            "study_id": self.study.id,
            "number": self.batches,
            "first": first,
            "asked": count if asked is None else asked,
            "evaluated": count,
            "cut": json.dumps(out) if out else None,
            "seconds": seconds,
            "elapsed": elapsed,
        }
        reasons = [(first + int(row), _one_line(reason)) for row, reason in sorted(failures.items())]
        texts = (candidates_to_text(candidates[rows]), metrics_to_text(values[rows]))
        self._append(batch, rows + first, *texts, reasons)
        return first

    def finish(self, reason: str | None) -> None:
        """Note why the search ended, or with None that it may go on."""
        self._update(finished=reason)

    def close(self) -> None:
        """Let others write to the study; the store stays open."""
        self._lock.release()

    def _append(
        self,
        batch: dict[str, Any],
        numbers: IntArray,
        candidates: list[str],
        metrics: list[str],
        reasons: list[tuple[int, str]],
    ) -> None:
        """Store a batch with its checksum, and count it."""
        joined = ("".join(candidates), ",".join(metrics))
        batch["checksum"] = of_batch(batch, numbers, *joined, reasons)
        checksum = of_batches([batch["checksum"]], self._checksum)
        trials = batch["first"] + batch["evaluated"]
        head = {"batches": self.batches + 1, "trials": trials, "checksum": checksum}
        self._check_files()
        with told_as_user_error(self.store.name):
            self._choose_sync()
            self._write(batch, numbers.tolist(), candidates, metrics, reasons, head)
        self._check_files()
        self.trials, self.batches, self._checksum = trials, self.batches + 1, checksum

    def _write(
        self,
        batch: dict[str, Any],
        numbers: list[int],
        candidates: list[str],
        metrics: list[str],
        reasons: list[tuple[int, str]],
        head: dict[str, Any],
    ) -> None:
        connection, heads = self.store.connection, schema.heads
        with connection.begin():
            connection.execute(sa.insert(schema.batches), batch)
            connection.execute(sa.update(heads).where(heads.c.study_id == self.study.id), head)
            if numbers and connection.dialect.name == "sqlite":
                # plain rows to the driver: as a dict a row it takes twice as long
                study = self.study.id
                values = [(study, *row) for row in zip(numbers, candidates, metrics, strict=True)]
                connection.exec_driver_sql(_INSERT, values)
            elif numbers:
                connection.execute(_unnested(self.study.id, numbers, candidates, metrics))
            if reasons:
                rows = [{"study_id": self.study.id, "number": n, "reason": reason} for n, reason in reasons]
                connection.execute(sa.insert(schema.failures), rows)

    def _hold(self) -> None:
        with told_as_user_error(self.store.name):
            if not self._lock.acquire():
                raise UserError(_held(self.store, self.study))
        try:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            self._update(holder=json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now}))
        except BaseException:
            self._lock.release()
            raise

    def _update(self, **values: Any) -> None:
        table, connection = schema.studies, self.store.connection
        here = table.c.id == self.study.id
        with told_as_user_error(self.store.name), connection.begin():
            connection.execute(sa.update(table).where(here).values(**values))
            seal_study(connection, dict(connection.execute(sa.select(table).where(here)).mappings().one()))

    def _check_files(self) -> None:
        if self._guard is not None and (raw := self._sqlite()) is not None:
            self._guard.check(raw)

    def _choose_sync(self) -> None:
        """Have the commits of SQLite reach the disk itself once a second.

        A commit that has not is lost in a power cut, never when only this process dies; and the next one that
        does takes it along.
        """
        raw = self._sqlite()
        if raw is not None:
            now = time.monotonic()
            due = now - self._synced >= SYNC_SECONDS
            raw.execute(f"PRAGMA synchronous = {'FULL' if due else 'NORMAL'}")
            self._synced = now if due else self._synced

    def _sqlite(self) -> sqlite3.Connection | None:
        raw = self.store.connection.connection.driver_connection
        return raw if isinstance(raw, sqlite3.Connection) else None


_INSERT = f"INSERT INTO {schema.trials.name} (study_id, number, candidate, metrics) VALUES (?, ?, ?, ?)"


def _unnested(study_id: int, numbers: list[int], candidates: list[str], metrics: list[str]) -> sa.Insert:
    """One statement that takes whole columns as arrays."""
    columns = [
        sa.func.unnest(sa.bindparam(None, numbers, ARRAY(sa.BigInteger))),
        sa.func.unnest(sa.bindparam(None, candidates, ARRAY(sa.Text))),
        sa.func.unnest(sa.bindparam(None, metrics, ARRAY(sa.Text))),
    ]
    names = ["study_id", "number", "candidate", "metrics"]
    return sa.insert(schema.trials).from_select(
        names, sa.select(sa.literal(study_id, sa.BigInteger), *columns), include_defaults=False
    )


def _lock(store: Store, study: StudyRecord) -> WriterLock:
    if store.path is None:
        return AdvisoryLock(store.engine, study.id)
    return FileLock(store.path.with_name(f"{store.path.name}-{study.id}.lock"))


def _held(store: Store, study: StudyRecord) -> str:
    """Who writes to the study, as far as it is known."""
    table = schema.studies
    row = store.connection.execute(sa.select(table).where(table.c.id == study.id)).mappings().one()
    store.connection.rollback()
    holder = from_row(dict(row)).holder or {}
    who = (
        f"process {holder['pid']} on {holder['host']} has been writing to it since {holder['since']}"
        if holder else "another process has just begun to write to it"
    )  # fmt: skip
    return f"{store.name}: study {study.name} is in use: {who}; wait for it or stop it"


def _one_line(reason: str) -> str:
    text = " ".join(reason.replace("\0", " ").split()).encode("utf-8", "replace").decode()
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 1] + "…"
