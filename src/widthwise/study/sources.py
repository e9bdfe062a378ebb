"""Where the trials of a run are: in its folder, or in a database that somebody has to name."""

from __future__ import annotations

import json
from pathlib import Path

from widthwise.core.errors import UserError
from widthwise.core.inside import read_inside
from widthwise.study.run_files import CONFIG, STORAGE, STUDY, check_own_files, is_run
from widthwise.study.store.database import told_by_a_folder

MOST_BYTES = 2**16  # of what says where the trials are


class ElsewhereError(UserError):
    """The trials of a run are in the database `url`, which nobody has named yet."""

    url: str = ""


def run_source(path: str | Path, storage: str | None = None) -> tuple[str | Path, str | None]:
    """Where a run keeps its trials: the store's path or URL, and the study's name there.

    storage: the URL of the database, for a run whose trials are not in its folder: a folder may be from
    anybody, and what it names is not connected to by itself. Raises ElsewhereError, which has the URL, where
    it is needed and not given.
    """
    folder = checked_run(path)
    stored = read_inside(folder, STORAGE, most=MOST_BYTES)
    if stored is None:
        return folder / STUDY, None
    try:
        found = json.loads(stored)
        url, name = str(found["url"]), str(found["study"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f'{folder / STORAGE}: is broken; it should hold {{"url": …, "study": …}}') from error
    if storage is not None:
        return storage, name
    shown = told_by_a_folder(url, str(folder / STORAGE))
    made = ElsewhereError(
        f"{folder}: keeps its trials outside of it, in {shown}; if you know that database, "
        f"name it: --storage {shown}"
    )
    made.url = shown
    raise made


def checked_run(path: str | Path) -> Path:
    """The folder of a run; raises UserError where it is none, or holds links."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise UserError(f"{folder}: no such run folder; `widthwise runs` lists those that there are")
    if not is_run(folder):
        missing = STUDY if (folder / CONFIG).is_file() else CONFIG
        raise UserError(f"{folder}: is no run folder: it has no {missing}")
    check_own_files(folder)
    return folder
