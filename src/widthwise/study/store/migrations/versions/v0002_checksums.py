"""Checksums of studies and batches, and how much there is of each study; computed of what is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import sqlalchemy as sa
from alembic import op

from widthwise.study.store import checksums

revision = "0002"
down_revision = "0001"

STUDIES = ["id", "name", "created", "decisions", "metrics", "settings", "fingerprint", "config"]
STUDIES += ["finished", "holder"]
BATCHES = ["study_id", "number", "first", "asked", "evaluated", "cut", "seconds", "elapsed"]


def upgrade() -> None:
    """Add them."""
    op.add_column("widthwise_studies", sa.Column("checksum", sa.BigInteger))
    op.add_column("widthwise_batches", sa.Column("checksum", sa.BigInteger))
    op.create_table(
        "widthwise_heads",
        sa.Column("study_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("batches", sa.BigInteger, nullable=False),
        sa.Column("trials", sa.BigInteger, nullable=False),
        sa.Column("checksum", sa.BigInteger, nullable=False),
    )
    connection = op.get_bind()
    for study in _rows(connection, "widthwise_studies", STUDIES, "id > 0"):
        row = dict(study._mapping)
        _set(connection, "widthwise_studies", {"id": row["id"]}, checksums.of_study(row))
        _seal(connection, row["id"])


def _seal(connection: sa.Connection, study: int) -> None:
    """Of the batches of a study, and of all of them together."""
    found, trials = [], 0
    for batch in _rows(connection, "widthwise_batches", BATCHES, f"study_id = {study:d}"):
        stop = batch.first + batch.evaluated
        here = f"study_id = {study:d} AND number >= {batch.first:d} AND number < {stop:d}"
        rows = _rows(connection, "widthwise_trials", ["number", "candidate", "metrics"], here)
        failed = _rows(connection, "widthwise_failures", ["number", "reason"], here)
        found.append(
            checksums.of_batch(
                batch._mapping,
                np.array([row.number for row in rows], dtype="<i8"),
                "".join(row.candidate for row in rows),
                ",".join(row.metrics for row in rows),
                [(int(row.number), str(row.reason)) for row in failed],
            )
        )
        _set(connection, "widthwise_batches", {"study_id": study, "number": batch.number}, found[-1])
        trials += batch.evaluated
    head = {"study_id": study, "batches": len(found), "trials": trials}
    names = ["study_id", "batches", "trials", "checksum"]
    table = sa.table("widthwise_heads", *(sa.column(name) for name in names))
    connection.execute(sa.insert(table).values(**head, checksum=checksums.of_batches(found)))


def _rows(connection: sa.Connection, table: str, columns: list[str], where: str) -> list[Any]:
    """In the order of the last of the columns that number them."""
    order = "id" if "id" in columns else "number"
    text = f"SELECT {', '.join(columns)} FROM {table} WHERE {where} ORDER BY {order}"
    return list(connection.execute(sa.text(text)).all())


def _set(connection: sa.Connection, name: str, keys: dict[str, int], checksum: int) -> None:
    table = sa.table(name, sa.column("checksum"), *(sa.column(key) for key in keys))
    here = [table.c[key] == value for key, value in keys.items()]
    connection.execute(sa.update(table).where(*here).values(checksum=checksum))
