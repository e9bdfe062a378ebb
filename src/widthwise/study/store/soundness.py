"""Looking at a SQLite file before it is used: whose it is, and whether it is sound; it is never changed."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from widthwise.core.errors import UserError
from widthwise.core.inside import is_inside
from widthwise.study.store import schema
from widthwise.study.store.database import BUSY_SECONDS, check_version, is_writable
from widthwise.study.store.trouble import told_as_user_error

LOGS = ("-wal", "-journal")  # beside a database that is written, or was when its writer died


def check_sqlite(path: Path, *, may_write: bool) -> None:
    """Raises UserError where the file is missing, cut short, damaged, none of ours or read-only."""
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give the study.db in it")
    if not path.exists() and not path.is_symlink():
        raise UserError(f"{path}: no such file; check the path of the run")
    for name in (path.name, *(f"{path.name}{log}" for log in (*LOGS, "-shm"))):
        is_inside(path.parent, name)  # raises for a link, whose log would lie elsewhere, and for a pipe
    if path.stat().st_size == 0:
        raise UserError(f"{path}: is empty, so it was cut short or never written; restore it from a copy")
    if may_write and not is_writable(path):
        raise UserError(
            f"{path}: may not be written; check permissions and whether its disk is mounted read-only"
        )
    if may_write and path.stat().st_nlink > 1:
        raise UserError(f"{path}: has a second name (a hard link), whose log SQLite can't know; copy it")
    with told_as_user_error(str(path)), closing(_looking(path)) as connection:
        _check_tables(connection, path)
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        said = " ".join(str(found).split())
        raise UserError(f"{path}: is damaged ({said}); it was left as it is: restore it from a copy")


def _looking(path: Path) -> sqlite3.Connection:
    """A connection that leaves no trace: without a log beside the file nobody writes, and none is made."""
    logged = any(path.with_name(path.name + log).exists() for log in LOGS)
    access = "" if logged else "&immutable=1"
    uri = f"file:{quote(os.fsencode(path.absolute()))}?mode=ro{access}"
    made = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)
    for pragma in ("query_only = ON", "trusted_schema = OFF", "cell_size_check = ON"):
        made.execute(f"PRAGMA {pragma}")
    return made


def _check_tables(connection: sqlite3.Connection, path: Path) -> None:
    """Raises UserError where the tables are not ours, or are others than a widthwise makes."""
    named = dict(connection.execute("SELECT name, type FROM sqlite_master WHERE type != 'index'").fetchall())
    if named.get(schema.version.name) != "table":
        check_version(None, str(path))
    rows = connection.execute(f"SELECT version_num FROM {schema.version.name}").fetchall()
    version = str(rows[0][0]) if len(rows) == 1 else None
    check_version(version, str(path))
    old = version == schema.UNCHECKED
    for table in schema.metadata.sorted_tables:
        if old and table is schema.heads:
            continue
        expected = [_column(column) for column in table.c if not (old and column.name == "checksum")]
        info = f"PRAGMA table_xinfo({table.name})"
        found = [
            (name, kind, bool(key), hidden)
            for _, name, kind, _, _, key, hidden in connection.execute(info).fetchall()
        ]
        if named.get(table.name) != "table" or found != expected:
            raise UserError(
                f"{path}: is damaged, or none of widthwise: its table {table.name} is another than it should "
                "be; it was left as it is: restore it from a copy"
            )
    ours = ", ".join(f"'{table.name}'" for table in schema.metadata.sorted_tables)
    triggers = f"SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN ({ours})"
    for (name,) in connection.execute(triggers).fetchall():
        raise UserError(f"{path}: has a trigger {name} on a table of widthwise, which would run; drop it")


def _column(column: sa.Column[object]) -> tuple[str, str, bool, int]:
    """As `PRAGMA table_xinfo` says it: name, type, whether in the key, 0 for not made of other columns."""
    return column.name, str(column.type.compile(sqlite.dialect())), column.primary_key, 0
