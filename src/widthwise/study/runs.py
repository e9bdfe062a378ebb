"""Run folders from outside: list them, export the trials of one, delete one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, get_args

from widthwise.core.errors import UserError, unknown
from widthwise.core.finite import finite
from widthwise.core.inside import read_inside
from widthwise.core.plain import plain_cell
from widthwise.study.finetuned import overlaid, read_finetuned
from widthwise.study.front import FrontRows
from widthwise.study.front_json import trial_as_json
from widthwise.study.measured import Measured, measured_columns, read_measured
from widthwise.study.run_files import CONFIG, STUDY, is_run
from widthwise.study.sources import ElsewhereError, run_source
from widthwise.study.store import Block, Store, StudyRecord, StudyWriter
from widthwise.study.store.records import Shares
from widthwise.study.tested import KeptTests, read_tests, tested_columns
from widthwise.study.trials import ON_FRONT, ON_FRONT_AT, Told, Trial, make_trials, table, told_blocks

if TYPE_CHECKING:
    import pandas as pd

ExportFormat = Literal["csv", "json", "parquet"]


@dataclass(frozen=True)
class RunSummary:
    """A run as a list shows it; trouble says why it can't be read, None where it can."""

    path: Path
    study: str = ""
    created: str = ""
    trials: int = 0
    failed: int = 0
    stopped: int = 0
    seconds: float = 0.0
    finished: str | None = None
    trouble: str | None = None


def list_runs(folder: str | Path, *, storage: str | None = None) -> list[RunSummary]:
    """The runs in a folder, oldest first; those that can't be read are among them, last.

    storage: the URL of the database of those that keep their trials outside of their folders.
    """
    where = Path(folder).expanduser()
    if not where.is_dir():
        raise UserError(f"{where}: no such folder; runs are made there by `widthwise search`")
    inside = sorted(path for path in where.iterdir() if path.is_dir() and not path.name.startswith("."))
    found = [_summary(path, storage) for path in [where, *inside] if is_run(path)]
    return sorted(found, key=lambda run: (run.trouble is not None, run.created, str(run.path)))


def export_trials(
    path: str | Path,
    kind: str,
    out: BinaryIO,
    *,
    storage: str | None = None,
    progress: Told | None = None,
) -> int:
    """Write all stored trials of a run as csv, json or parquet; returns how many, tells progress meanwhile.

    Each says whether it is on the front; picked ones have their figures on test data. CSV and JSON are
    streamed, parquet is held in memory. Texts in CSV are on one line, and what a spreadsheet would compute
    has a ' before it. The trials are read twice: the front is known when all were.
    """
    if kind not in get_args(ExportFormat):
        raise unknown("format", kind, get_args(ExportFormat), where="trials")
    source, name = run_source(path, storage)
    with Store.open(source, readonly=True) as store:
        record = store.find(name)
        folder, rows = Path(path).expanduser(), FrontRows(record)
        tuned = read_finetuned(folder)
        for block in told_blocks(store.blocks(record), store.count(record), progress):
            rows.add(overlaid(record, block, tuned))
        front = frozenset(rows.block.numbers.tolist())
        known = _Known(record, store.seconds(record), front, read_tests(folder), read_measured(folder))
        stored = told_blocks(store.blocks(record), store.count(record), progress)
        blocks = (overlaid(record, block, tuned) for block in stored)
        if kind == "json":
            return _export_json(known, blocks, out)
        frames = (known.frame(block) for block in blocks)
        return _export_csv(frames, out) if kind == "csv" else _export_parquet(frames, out)


def remove_run(path: str | Path, *, storage: str | None = None) -> None:
    """Delete a run folder with all that is in it, and nothing else.

    storage: the URL of the database that it keeps its trials in, outside of the folder: there its study is
    deleted too, where it is of the same config. Raises UserError for anything but a run folder, and for one
    that is being written.
    """
    folder = Path(path).expanduser()
    if folder.is_symlink():
        raise UserError(f"{folder}: is a link; give the run folder itself")
    source, name = _source_to_remove(folder, storage)
    for inner in folder.rglob("*"):
        if inner.name == ".git" or (inner.is_dir() and is_run(inner)):
            raise UserError(f"{folder}: holds more than a run ({inner}); move that elsewhere first")
    if folder.resolve() in [Path.cwd(), *Path.cwd().parents]:
        raise UserError(f"{folder}: is the working directory or holds it; leave it first")
    if source is not None and source != folder / STUDY:
        with Store.open(source) as store:
            study = store.find(name)
            if study.config.encode() != read_inside(folder, CONFIG):
                raise UserError(
                    f"{folder}: has another {CONFIG} than study {study.name} in {store.name}, so it may be "
                    "of another run; leave out --storage to delete the folder alone"
                )
            with StudyWriter(store, study):
                store.remove_study(study)
    elif source is not None and _readable(folder / STUDY):
        with Store.open(source) as store, StudyWriter(store, store.find(name)):
            pass  # raises where a search is writing
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise UserError(f"{folder}: could not be deleted: {error.strerror}; check its permissions") from error


def _source_to_remove(folder: Path, storage: str | None) -> tuple[str | Path | None, str | None]:
    """As `run_source`, but no source for a database that nobody named: what is in it stays."""
    try:
        return run_source(folder, storage)
    except ElsewhereError:
        return None, None


def _readable(path: Path) -> bool:
    """Whether the store is sound: a damaged one may be deleted, nobody can be writing to it."""
    try:
        Store.open(path, readonly=True).close()
    except UserError:
        return False
    return True


def _summary(path: Path, storage: str | None) -> RunSummary:
    try:
        source, name = run_source(path, storage)
        with Store.open(source, readonly=True) as store:
            study = store.find(name)
            counts = store.summary(study)
    except UserError as error:
        return RunSummary(path, trouble=str(error))
    found = (counts.trials, counts.failed, counts.stopped, counts.seconds)
    return RunSummary(path, study.name, study.created, *found, study.finished)


@dataclass(frozen=True)
class _Known:
    """What is told of trials beside what their store holds."""

    record: StudyRecord
    shares: Shares
    front: frozenset[int]
    tests: KeptTests
    measured: Mapping[int, Sequence[Measured]]

    def frame(self, block: Block) -> pd.DataFrame:
        """A row a trial of a block."""
        import pandas as pd

        columns, numbers = table(self.record, block, self.shares.of(block.numbers)), block.numbers.tolist()
        rest = measured_columns(self.measured, numbers, taken=columns)
        frame = pd.DataFrame({**columns, **tested_columns(self.tests, numbers), **rest})
        frame.insert(ON_FRONT_AT, ON_FRONT, [number in self.front for number in numbers])
        return frame

    def of(self, trial: Trial) -> dict[str, Any]:
        """As JSON has it."""
        number = trial.number
        content = {**trial_as_json(trial), "state": trial.state, ON_FRONT: number in self.front}
        content |= {"reason": trial.reason, "seconds": trial.seconds}
        if number in self.tests.figures:
            content["test"] = dict(self.tests.figures[number])
            content["test_errors"] = dict(self.tests.errors.get(number, {}))
        if number in self.measured:
            content["measured"] = [each.as_json() for each in self.measured[number]]
        return content


def _export_csv(frames: Iterator[pd.DataFrame], out: BinaryIO) -> int:
    count = 0
    for frame in frames:
        texts = [name for name in frame.columns if frame[name].dtype == object]
        shown = frame.assign(**{name: frame[name].map(plain_cell) for name in texts})
        shown.columns = [plain_cell(name) for name in frame.columns]
        out.write(shown.to_csv(index=False, header=count == 0).encode(errors="backslashreplace"))
        count += len(frame)
    return count


def _export_json(known: _Known, blocks: Iterator[Block], out: BinaryIO) -> int:
    count = 0
    out.write(b"[")
    for block in blocks:
        for trial in make_trials(known.record, block, known.shares.of(block.numbers)):
            text = json.dumps(finite(known.of(trial)), ensure_ascii=False, allow_nan=False)
            out.write((",\n" if count else "\n").encode() + text.encode())
            count += 1
    out.write(b"\n]\n")
    return count


def _export_parquet(frames: Iterator[pd.DataFrame], out: BinaryIO) -> int:
    import pandas as pd

    every = list(frames)
    frame = pd.concat(every) if every else pd.DataFrame()
    for name in frame.columns:
        if not pd.api.types.is_object_dtype(frame[name]):
            continue
        # a decision may have choices of several types, a column of a file may not
        frame[name] = [value if value is None else str(value) for value in frame[name]]
    frame.to_parquet(out, index=False)
    return len(frame)
