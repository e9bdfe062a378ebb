"""One writer a study: a lock that the operating system or the server drops when its holder dies."""

from __future__ import annotations

import errno
import os
import weakref
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from widthwise.core.errors import UserError
from widthwise.core.inside import open_inside

STUDY_LOCKS = (
    0x77696473  # "wids": the first half of the advisory locks of studies, the second is the study's id
)


class WriterLock(Protocol):
    """Held by whoever writes to a study."""

    def acquire(self) -> bool:
        """Whether it is ours now; never waits."""
        ...

    def release(self) -> None:
        """Give it back; does nothing where it isn't held."""
        ...


class FileLock:
    """An flock on a file beside the database, which stays there, empty."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Whether the lock is ours now."""
        import fcntl

        try:
            descriptor = open_inside(self.path.parent, self.path.name, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise UserError(
                f"{self.path}: can't be written: {error.strerror}; make its folder writable"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return False
            raise UserError(
                f"{self.path}: can't be locked: {error.strerror}; its file system has no locks (NFS without "
                "them?): keep the run on another disk, or its trials in a database (--storage)"
            ) from error
        self._descriptor = descriptor
        # a forked worker shares the lock and would keep it after the search was killed
        this = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _drop(this()))
        return True

    def release(self) -> None:
        """Give the lock back."""
        import fcntl

        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # closing would not do while a copy of it is open
            _drop(self)


def _drop(lock: FileLock | None) -> None:
    """Close this process's copy of the descriptor; others that share it keep the lock."""
    if lock is not None and lock._descriptor is not None:
        os.close(lock._descriptor)
        lock._descriptor = None


class AdvisoryLock:
    """A session's advisory lock in PostgreSQL, on a connection of its own."""

    def __init__(self, engine: sa.Engine, study_id: int) -> None:
        self._engine = engine
        self._study_id = study_id
        self._connection: sa.Connection | None = None

    def acquire(self) -> bool:
        """Whether the lock is ours now."""
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        # the server finds out within about a minute when a machine is gone without a word
        for setting, value in (("idle", 30), ("interval", 10), ("count", 3)):
            connection.exec_driver_sql(f"SET tcp_keepalives_{setting} = {value}")
        key = sa.func.pg_try_advisory_lock(
            sa.cast(STUDY_LOCKS, sa.Integer), sa.cast(self._study_id, sa.Integer)
        )
        if not connection.execute(sa.select(key)).scalar():
            connection.close()
            return False
        self._connection = connection
        cut_in_children(connection)
        return True

    def release(self) -> None:
        """Give the lock back by ending its session."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


def cut_in_children(connection: sa.Connection) -> None:
    """Take a server's connection away from processes that are forked later.

    They would keep the session, and its locks, alive after this process was killed, and end it when they end.
    """
    raw = connection.connection.driver_connection
    if raw is None:
        return
    descriptor, alive = raw.fileno(), weakref.ref(raw)

    def cut() -> None:
        held = alive()
        if held is not None and not held.closed:
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, descriptor)  # not closed: its number might be given to something else
            os.close(nothing)

    os.register_at_fork(after_in_child=cut)
