"""The folder of a run: its config, its study, its front and its log; made whole or not at all."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from io import TextIOWrapper
from pathlib import Path
from typing import Self

from widthwise.core.errors import UserError
from widthwise.core.files import folder_in_one_piece, write_atomically
from widthwise.core.inside import append_inside
from widthwise.core.plain import PlainFormatter
from widthwise.evaluators.protocol import Realises
from widthwise.study.fingerprint import check_same
from widthwise.study.keeper import Keeper
from widthwise.study.run_files import (
    CONFIG,
    FRONT,
    LOG,
    STORAGE,
    STUDY,
    check_new,
    free_folder,
    is_run,
)
from widthwise.study.sources import checked_run, run_source
from widthwise.study.store import Store, StudyRecord, StudyWriter
from widthwise.study.store.database import sqlite_path, without_password
from widthwise.study.study import Study
from widthwise.study.trials import Told

STARTING = "its search is being started"  # in place of why a study ended, until its folder is there
ABANDONED = timedelta(minutes=1)  # after which a start that left no folder is taken to have died

logger = logging.getLogger("widthwise")


@dataclass(frozen=True)
class Run:
    """A run that is being written; closing it lets others write."""

    path: Path
    writer: StudyWriter
    log: logging.Handler
    keeper: Keeper | None = None

    def keeping(self, evaluator: Realises) -> Run:
        """The same run, which also keeps the networks of its front, as the evaluator has them."""
        keeper = Keeper(self.path, evaluator, self.writer.study.settings.repeats)
        return replace(self, keeper=keeper)

    def save(self, study: Study) -> None:
        """Put the front so far into front.json, and keep its networks; for `run_search` as `saved`."""
        try:
            _write_front(study, self.path)
        except UserError as error:  # the trials are in the store, from which the front can be had again
            logger.warning("%s", error)
        if self.keeper is not None:
            self.keeper.keep(study.front, final=study.finished is not None)

    def close(self) -> None:
        """Give up the study and close the store and the log."""
        self.writer.close()
        self.writer.store.close()
        logger.removeHandler(self.log)
        self.log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start_run(
    path: str | Path, record: StudyRecord, *, storage: str | None = None, force_new: bool = False
) -> Run:
    """A new run in a folder that does not exist or is empty; with `force_new` in the next free one beside it.

    record: what will be searched; its name becomes the folder's. storage: the URL of a database to keep the
    trials in, otherwise they go to study.db in the folder. Raises UserError, and then nothing was made.
    """
    folder = Path(path).expanduser()
    if force_new:
        folder = free_folder(folder)
    check_new(folder)
    record = replace(record, name=folder.name)
    with folder_in_one_piece(folder, blamed=folder.parent) as part:
        (part / CONFIG).write_text(record.config, encoding="utf-8")
        if storage is not None:
            shown = {"url": without_password(storage), "study": record.name}
            (part / STORAGE).write_text(json.dumps(shown) + "\n", encoding="utf-8")
        with _store(storage or part / STUDY) as store:
            made = _created(store, replace(record, finished=STARTING), folder)
        try:
            part.rename(folder)
        except OSError:
            if storage is not None:
                with Store.open(storage) as store:
                    store.remove_study(made)
            _refuse_second(folder)
            raise
    run = _opened(folder, storage)
    run.writer.finish(None)
    return run


def _created(store: Store, record: StudyRecord, folder: Path) -> StudyRecord:
    """The study made anew, in place of one of its name whose start died before its folder was there."""
    try:
        return store.create_study(record)
    except UserError:
        _refuse_second(folder)
        left = [study for study in store.studies() if (study.name, study.finished) == (record.name, STARTING)]
        if not left or datetime.now(UTC) - datetime.fromisoformat(left[0].created) < ABANDONED:
            raise
        store.remove_study(left[0])
        return store.create_study(record)


def _refuse_second(folder: Path) -> None:
    """Raises UserError where another search has begun a run in the folder meanwhile, and says who."""
    if not is_run(folder):
        return
    who = "another search"
    if (folder / STUDY).is_file():
        with contextlib.suppress(UserError), Store.open(folder / STUDY, readonly=True) as store:
            if holder := store.find().holder:
                who = f"process {holder['pid']} on {holder['host']}"
    raise UserError(
        f"{folder}: {who} has just begun a run there; --resume goes on with it once that ends, --force-new "
        "starts one beside it"
    )


def resume_run(
    path: str | Path,
    fingerprint: dict[str, str] | None = None,
    *,
    storage: str | None = None,
    kept: bool = False,
) -> Run:
    """A run to go on with; UserError where it was searched with something else, listing all that differs.

    storage: the URL of the database that it keeps its trials in, where that is not in its folder.
    kept: the network is the one that the run itself keeps, so what it was called isn't asked for.
    """
    folder = checked_run(path)
    run = _opened(folder, storage)
    try:
        if fingerprint is not None:
            stored = dict(run.writer.study.fingerprint)
            if kept:
                stored.pop("network", None)
                fingerprint = {name: mark for name, mark in fingerprint.items() if name != "network"}
            check_same(stored, fingerprint, str(folder))
    except UserError:
        run.close()
        raise
    return run


def load_run(path: str | Path, *, storage: str | None = None, progress: Told | None = None) -> Study:
    """The study of a run, finished or not; raises ElsewhereError as `run_source` does.

    progress: is told how many trials are read, of how many.
    """
    return Study.load(*run_source(path, storage), folder=checked_run(path), progress=progress)


def save_front(study: Study, folder: Path) -> None:
    """Puts what is known of a run's front now into front.json."""
    _write_front(Study.load(study.source, study.name, folder=folder), folder)


def _write_front(study: Study, folder: Path) -> None:
    text = json.dumps(study.as_json(), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(folder / FRONT, text.encode() + b"\n")


def _opened(folder: Path, storage: str | None) -> Run:
    source, name = run_source(folder, storage)
    with suppress(OSError):  # a log that can't be written ends no search; one that is a link does
        os.close(append_inside(folder, LOG))
    store = Store.open(source)
    try:
        writer = StudyWriter(store, store.find(name))
    except BaseException:
        store.close()
        raise
    return Run(folder, writer, _log_to(folder / LOG))


def _store(target: str | Path) -> Store:
    """Opened where it is a database that is there already, otherwise made."""
    file = sqlite_path(target)
    return Store.open(target) if file is not None and file.exists() else Store.create(target)


class _QuietFileHandler(logging.FileHandler):
    """A log that can't be written (full disk, folder gone) must not end a search or fill the terminal.

    A link in its place is not followed.
    """

    def _open(self) -> TextIOWrapper:
        path = Path(self.baseFilename)
        descriptor = append_inside(path.parent, path.name)
        return open(descriptor, "a", encoding="utf-8", errors="backslashreplace")  # noqa: PTH123

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # from opening it
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        del record

    def close(self) -> None:
        with suppress(OSError):  # from what is still to be written
            super().close()


def _log_to(path: Path) -> logging.Handler:
    handler = _QuietFileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(PlainFormatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    if logger.level == logging.NOTSET or logger.level > logging.INFO:
        logger.setLevel(logging.INFO)
    return handler
