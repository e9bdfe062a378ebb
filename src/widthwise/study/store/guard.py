"""Whether the files of a SQLite store are still those that were opened, and saving the trials if not."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from widthwise.core.errors import UserError


class FileGuard:
    """Watches a database file and its write-ahead log.

    SQLite goes on writing into a file that was deleted, and all of it is gone when the program ends; so
    before and after each commit the files must be the same (by inode) and no shorter than before. While a
    connection is open neither file ever shrinks by itself.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = (path, path.with_name(path.name + "-wal"))
        self._seen: dict[Path, os.stat_result] = {}
        self.look()

    def look(self) -> None:
        """Remember the files as they are now."""
        for file in self._files:
            try:
                self._seen[file] = file.stat()
            except OSError:
                self._seen.pop(file, None)

    def trouble(self) -> str | None:
        """What happened to the files since the last look, or None."""
        for file, before in self._seen.items():
            try:
                now = file.stat()
            except OSError:
                return f"{file}: was deleted or moved while the search ran"
            if (now.st_ino, now.st_dev) != (before.st_ino, before.st_dev):
                return f"{file}: was replaced by another file while the search ran"
            if now.st_size < before.st_size:
                return (
                    f"{file}: was cut from {before.st_size:,} to {now.st_size:,} bytes while the search ran"
                )
        self.look()
        return None

    def check(self, connection: sqlite3.Connection) -> None:
        """Raises UserError where the files changed, after saving all trials beside them if possible."""
        trouble = self.trouble()
        if trouble is None:
            return
        saved = self._rescue(connection)
        what = f"all its trials were saved to {saved}: rename that to {self.path} to resume" if saved else (
            "its trials could not be saved from it; the front so far is in front.json"
        )  # fmt: skip
        raise UserError(f"{trouble}; {what}")

    def _rescue(self, connection: sqlite3.Connection) -> Path | None:
        """A copy of what the open connection still reads, where it is sound; the folder may be gone too."""
        folder = self.path.parent
        if folder.is_dir():
            target = folder / f"{self.path.stem}-rescued.db"
        else:
            target = folder.parent / f"{folder.name}-rescued.db"
        try:  # made here: SQLite would follow a link that lies in wait
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        except OSError:
            return None
        try:
            if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
                target.unlink(missing_ok=True)
                return None
            with sqlite3.connect(target) as copy:
                connection.backup(copy)
            copy.close()
        except sqlite3.Error:
            target.unlink(missing_ok=True)
            return None
        return target
