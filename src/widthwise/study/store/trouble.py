"""What a database says when something is wrong, as one line for the person who must mend it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from widthwise.core.errors import UserError

# what databases say, in the order in which it is looked for, and what that means for the user
_MEANINGS = (
    ("not a database", "is no SQLite database or is damaged; it was left as it is: restore it from a copy"),
    ("malformed", "is damaged; it was left as it is: restore it from a copy"),
    ("could not decode", "is damaged: holds text that is none; it was left as it is: restore it from a copy"),
    ("no such ", "is damaged, or none of widthwise: it lacks what it should have; restore it from a copy"),
    ("unsupported file format", "is damaged, or of a newer SQLite; it was left as it is"),
    ("is full", "the disk is full; make room, then resume: what was stored before is kept"),
    ("disk i/o error", "could not be read or written (disk full, over a size limit, failing); make room or "
     "move it, then resume: what was stored before is kept"),
    ("readonly", "may not be written; check permissions and whether the file system is mounted read-only"),
    ("unable to open", "can't be opened; check that its folder exists and may be written"),
    ("permission denied", "its user may not do what is asked ({text}); grant that, or name another user"),
    ("read-only transaction", "may only be read (a standby, or set so); name a database that may be written"),
    ("is locked", "is in use by another program that keeps it locked; close that, then resume"),
)  # fmt: skip


@contextmanager
def told_as_user_error(name: str) -> Iterator[None]:
    """Troubles of the database `name` (a path or a URL without password) become UserErrors, bugs not."""
    try:
        yield
    except UnicodeDecodeError as error:  # what SQLite says of damage may be damaged itself
        raise UserError(f"{name}: is damaged; it was left as it is: restore it from a copy") from error
    except (DBAPIError, sqlite3.Error) as error:
        said = error.orig if isinstance(error, DBAPIError) else error
        text = " ".join(str(said).split())
        for found, meaning in _MEANINGS:
            if found in text.lower():
                short = text.partition(" LINE ")[0]
                raise UserError(f"{name}: {meaning.replace('{text}', short)}") from error
        kind = type(said).__name__
        if kind in ("IntegrityError", "UniqueViolation"):
            raise UserError(f"{name}: another search writes to the same study; stop one of them") from error
        if kind in (
            "OperationalError",
            "AdminShutdown",
            "ConnectionTimeout",
            "DiskFull",
            "ConnectionException",
        ):
            raise UserError(
                f"{name}: {text}; mend that, then resume: what was stored before is kept"
            ) from error
        raise
