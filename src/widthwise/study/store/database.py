"""Opening a database: SQLite by path, PostgreSQL by URL; checked, and with the right schema, or an error."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import StaticPool
from sqlalchemy.util import immutabledict

from widthwise.core.errors import UserError
from widthwise.core.plain import plain
from widthwise.study.store import schema

SCHEMA_LOCK = 0x77696474  # "widt": whoever creates or migrates the tables of a PostgreSQL database holds it
BUSY_SECONDS = 30.0
Mode = Literal["rwc", "rw", "ro", "reading"]


def sqlite_path(target: str | Path) -> Path | None:
    """The file that a path or a `sqlite:///` URL names, or None for the URL of another database."""
    if isinstance(target, Path) or "://" not in target:
        return Path(target).expanduser()
    url = _url(target)
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:":
        raise UserError(f"{target}: a database in memory is gone with the program; name a file")
    return Path(url.database).expanduser()


def display_name(target: str | Path) -> str:
    """How errors name a database: its path, or its URL without the password."""
    path = sqlite_path(target)
    return str(path) if path else plain(without_password(str(target)))


def without_password(target: str) -> str:
    """A URL as it may be shown and kept: what is left out comes from PGPASSWORD or ~/.pgpass then."""
    url = _url(target)
    secret = {"password", "sslpassword", "sslkey", "passfile"}
    query = {name: value for name, value in url.query.items() if name.lower() not in secret}
    return url._replace(password=None, query=immutabledict(query)).render_as_string(hide_password=False)


def told_by_a_folder(target: str, where: str) -> str:
    """What may be shown, and connected to once it is confirmed, of a URL that a file names.

    Raises UserError where it says more than host, port, database and user: it would reach another server than
    it shows, or read other files.
    """
    if "://" not in target:
        raise UserError(f"{where}: names no database; name yours: --storage URL")
    url = _url(target)
    plain_host = not url.query or (not url.host and url.query.keys() == {"host"} and _is_socket(url))
    if url.get_backend_name() not in ("postgresql", "sqlite") or not plain_host or target != plain(target):
        raise UserError(f"{where}: names a database in a way that could hide another; name it: --storage URL")
    return without_password(target)


def _is_socket(url: sa.URL) -> bool:
    host = url.query["host"]
    return isinstance(host, str) and host.startswith("/") and "," not in host


def connect_sqlite(path: Path, *, mode: Mode) -> sa.Engine:
    """An engine with a single connection.

    mode: "rwc" creates the file, "rw" needs it to exist, "ro" never changes it, "reading" changes no table
    but tidies up: a connection that may write removes the log beside the file when it is the last to close.
    """
    writable = mode == "rwc" or is_writable(path)
    access = mode if mode != "reading" else "rw" if writable else "ro"
    uri = f"file:{quote(os.fsencode(path.absolute()))}?mode={access}"
    if access == "ro" and not writable and not path.with_name(path.name + "-wal").exists():
        uri += "&immutable=1"  # in a folder that can't be written, SQLite can't open its log beside the file

    def connection() -> sqlite3.Connection:
        made = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, check_same_thread=False)
        if mode in ("rw", "rwc"):
            made.execute("PRAGMA journal_mode = WAL")
            made.execute("PRAGMA synchronous = FULL")  # a commit survives a power cut; costs a fsync
        else:
            made.execute("PRAGMA query_only = ON")
        made.execute("PRAGMA cache_size = -16384")
        made.execute("PRAGMA trusted_schema = OFF")  # what a file's own tables say runs nothing
        made.execute("PRAGMA cell_size_check = ON")
        return made

    return sa.create_engine("sqlite://", creator=connection, poolclass=StaticPool)


def connect_server(target: str) -> sa.Engine:
    """An engine for a PostgreSQL URL."""
    url = _url(target)
    if url.get_backend_name() != "postgresql":
        raise UserError(
            f"{display_name(target)}: no such kind of database; allowed: a path, postgresql+psycopg://…"
        )
    if url.password == "***":  # as older versions kept it: then none is known
        url = url._replace(password=None)
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    try:
        return sa.create_engine(url, connect_args={"connect_timeout": 10, "application_name": "widthwise"})
    except (ImportError, sa.exc.NoSuchModuleError) as error:
        raise UserError(
            f"{display_name(target)}: needs psycopg; pip install 'widthwise[postgres]'"
        ) from error


def schema_version(connection: sa.Connection) -> str | None:
    """The migration that the database was brought to; None where it has no tables of ours."""
    if not sa.inspect(connection).has_table(schema.version.name):
        return None
    found: str | None = connection.execute(sa.select(schema.version.c.version_num)).scalar()
    return found


def create_schema(connection: sa.Connection) -> None:
    """Make the tables where there are none; two searches may begin on an empty database at once."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(SCHEMA_LOCK)))
    if schema_version(connection) is None:
        schema.metadata.create_all(connection)
        connection.execute(sa.insert(schema.version).values(version_num=schema.REVISION))
    connection.commit()


def bring_up_to_date(connection: sa.Connection, name: str, *, may_write: bool) -> bool:
    """Migrate an older database, or raise UserError where it is none of ours or of a newer widthwise.

    Whether it has checksums now: one that may only be read stays as it is.
    """
    found = schema_version(connection)
    check_version(found, name)
    connection.rollback()
    if found == schema.REVISION:
        return True
    if not may_write:
        return False
    from widthwise.study.store.migrations import upgrade

    upgrade(connection)
    return True


def check_version(found: str | None, name: str) -> None:
    """Raises UserError for a database that is none of ours or of a newer widthwise."""
    if found is None:
        raise UserError(f"{name}: is no store of widthwise (it has no table {schema.version.name})")
    if found > schema.REVISION:
        raise UserError(f"{name}: was written by a newer widthwise (schema {found}); update widthwise")
    if found not in (schema.UNCHECKED, schema.REVISION):
        raise UserError(f"{name}: is damaged: no widthwise has schema {found}; restore it from a copy")


def is_writable(path: Path) -> bool:
    """The folder too: the log is made and removed beside the file."""
    return os.access(path.parent, os.W_OK) and os.access(path, os.W_OK)


def _url(target: str) -> sa.URL:
    try:
        return sa.make_url(target)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        shown = target.partition("@")[2] or target  # what stands before @ may be a password
        raise UserError(f"{shown}: no database URL; as in postgresql+psycopg://user@host/name") from None
