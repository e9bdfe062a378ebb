"""Looking at all of a run: whether each thing that it keeps is what was written; and saving what is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from widthwise.core.errors import UserError
from widthwise.core.files import folder_in_one_piece, write_atomically
from widthwise.core.finite import finite
from widthwise.core.importing import describe_error
from widthwise.core.inside import is_inside, names_inside, read_inside
from widthwise.study.finetuned import read_finetuned
from widthwise.study.front_json import trial_as_json
from widthwise.study.measured import read_measured
from widthwise.study.realised import model_name, read_kept, read_slots
from widthwise.study.run_files import (
    CONFIG,
    FINETUNED,
    FRONT,
    MEASURED,
    REALISED,
    SAMPLE,
    SLOTS,
    STUDY,
    SURENESS,
    TRIAL_WEIGHTS,
    WEIGHTS,
    check_new,
    is_run,
)
from widthwise.study.run_folder import load_run, save_front
from widthwise.study.sources import run_source
from widthwise.study.store import Store, StudyWriter
from widthwise.study.store.sound import Sound, copy_sound, open_damaged, sound_of
from widthwise.study.study import Study
from widthwise.study.sureness import read_sureness
from widthwise.training.finetuning.settings import SHARED, SHARED_ABOUT

LISTED = 8
READ: dict[str, Callable[[Path], object]] = {  # what a run may keep, and what reads it
    REALISED: read_kept,
    SLOTS: read_slots,
    SURENESS: read_sureness,
    MEASURED: read_measured,
    FINETUNED: read_finetuned,
}


@dataclass(frozen=True)
class Finding:
    """What was looked at, and what is wrong with it: None where it is sound."""

    what: str
    trouble: str | None = None
    note: str = ""


def check_run(path: str | Path, *, storage: str | None = None, networks: bool = True) -> Iterator[Finding]:
    """All that a run keeps, one after another; raises UserError where there is no run.

    networks: whether those that it keeps are made, to compare their weights with their marks; that runs the
    code that its config names.
    """
    folder = Path(path).expanduser()
    source, name = run_source(folder, storage)
    study: Study | None = None
    try:
        study = load_run(folder, storage=storage)
        summary = study.summary
        note = f"{summary.trials:,} trials in {summary.batches:,} batches"
        yield Finding("trials", None, note)
    except UserError as error:
        yield Finding("trials", str(error))
        yield from _damage(source, name)
    if study is not None:
        yield _config(folder, study)
        yield _front(folder, study)
    for kept, read in READ.items():
        found = _finding(kept, partial(read, folder))
        absent = found.trouble is None and not _is_there(folder, kept)
        yield replace(found, note="is not there") if absent else found
    if study is not None and networks:
        yield from _networks(study)


def salvage_run(path: str | Path, out: str | Path, *, storage: str | None = None) -> tuple[Study, Sound]:
    """Copies what is sound of a run into a new one, which can be read but not resumed.

    Trials keep their numbers; those of damaged batches are missing. Raises UserError where not even what
    was searched for can be read.
    """
    folder, target = Path(path).expanduser(), Path(out).expanduser()
    source, name = run_source(folder, storage)
    if is_run(target):
        raise UserError(f"{target}: has a run already; what is sound is copied into a new one: name another")
    check_new(target)
    with open_damaged(source) as store:
        found = sound_of(store, store.find(name))
        lost = told(found)
        with folder_in_one_piece(target, blamed=target.parent) as part:
            record = replace(
                found.study,
                name=target.name,
                holder=None,
                fingerprint={**found.study.fingerprint, "salvaged": lost},
            )
            with Store.create(part / STUDY) as made, StudyWriter(made, made.create_study(record)) as writer:
                copy_sound(found, store, writer)
                writer.finish(f"salvaged from {folder}: {lost}")
            write_atomically(part / CONFIG, record.config.encode())
            _copy_files(folder, part)
            part.rename(target)
    study = load_run(target)
    save_front(study, target)
    return study, found


def told(found: Sound) -> str:
    """What of a study is lost."""
    damaged, places = found.damaged, found.places
    if not damaged:
        return "nothing was lost"
    trials = sum(places[number][1] for number in damaged)
    listed = ", ".join(map(str, damaged[:LISTED])) + (" …" if len(damaged) > LISTED else "")
    return f"{len(damaged):,} of {len(found.rows):,} batches are lost ({listed}) with {trials:,} trials"


def _damage(source: str | Path, name: str | None) -> Iterator[Finding]:
    """Every damaged batch, where the record of the study can be read."""
    try:
        with open_damaged(source) as store:
            found = sound_of(store, store.find(name))
    except UserError as error:
        yield Finding("salvage", f"nothing can be saved: {error}")
        return
    places = found.places
    for number in found.damaged:
        first, count = places[number]
        where = f"trials {first:,} to {first + count - 1:,}" if count else "trials unknown"
        yield Finding(f"batch {number}", f"damaged ({where})")
    yield Finding("salvage", None, f"{told(found)}; --salvage FOLDER copies the rest into another run")


def _config(folder: Path, study: Study) -> Finding:
    content = read_inside(folder, CONFIG)
    same = content == study.record.config.encode()
    return Finding(CONFIG, None, "" if same else "is another than the search began with")


def _front(folder: Path, study: Study) -> Finding:
    content = read_inside(folder, FRONT)
    if content is None:
        return Finding(FRONT, None, "is not there; --resume writes it")
    try:
        rows, now = json.loads(content)["front"], json.loads(json.dumps(study.as_json()))["front"]
        same = rows == now or (_is_of_before(rows) and _is_front(rows, study))
    except (ValueError, KeyError, TypeError, RecursionError):
        return Finding(FRONT, "is broken; --resume writes it again from the trials")
    if study.finished is None:
        return Finding(FRONT, None, "" if same else "is older than the trials; --resume writes it again")
    return Finding(FRONT, None if same else "is not that of the trials; --resume writes it again from them")


def _is_of_before(rows: list[dict[str, Any]]) -> bool:
    """Whether a version wrote the front that told each of equal trials, and nothing of how sure they are."""
    return not any("alike" in row for row in rows)


def _is_front(rows: list[dict[str, Any]], study: Study) -> bool:
    """Whether they are the trials of the front, as far as they tell of them."""
    told = {trial.number: json.loads(json.dumps(finite(trial_as_json(trial)))) for trial in study.front}
    numbers = [row["number"] for row in rows]
    return sorted(numbers) == sorted(told) and all(
        told[row["number"]] == {key: row.get(key) for key in told[row["number"]]} for row in rows
    )


def _networks(study: Study) -> Iterator[Finding]:
    """The networks that the run keeps, made and compared with the marks of their weights."""
    folder = study.folder
    if folder is None:
        return
    if model_name(study.record) is None:
        yield Finding(WEIGHTS, None, "not looked at: the network was given from Python")
        return
    yield _finding(WEIGHTS, study.network)
    try:
        tuned = {number for number, found in read_finetuned(folder).items() if found.better}
        kept = sorted({*map(int, read_kept(folder)), *tuned})
    except (UserError, ValueError):  # is among the findings
        return
    for number in kept:
        yield _finding(f"network of trial {number}", partial(study.network, number))


def _is_there(folder: Path, name: str) -> bool:
    """Whether a run has this file, or anything in this folder."""
    return bool(names_inside(folder, name)) if name in (MEASURED, FINETUNED) else is_inside(folder, name)


def _finding(what: str, look: Callable[[], object]) -> Finding:
    try:
        look()
    except UserError as error:
        return Finding(what, str(error))
    except Exception as error:  # of a network, which is the user's
        return Finding(what, describe_error(error))
    return Finding(what)


def _copy_files(folder: Path, part: Path) -> None:
    """What networks are made of and what was measured, as far as it can be read."""
    names = [WEIGHTS, SHARED, SHARED_ABOUT, REALISED, SLOTS, SAMPLE, SURENESS]
    for inner in (TRIAL_WEIGHTS, FINETUNED, MEASURED):
        names += [f"{inner}/{name}" for name in names_inside(folder, inner)]
    for name in names:
        try:
            content = read_inside(folder, name)
        except (UserError, OSError):
            continue
        if content is not None:
            write_atomically(part / name, content, within=part)
