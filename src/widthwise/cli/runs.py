"""widthwise runs, trials and rm: what earlier searches left."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, get_args

import typer

from widthwise.cli import configs, options
from widthwise.cli.output import Output, check_new_file, is_interactive, print_json, reading
from widthwise.core.errors import UserError, unknown
from widthwise.core.files import file_in_one_piece
from widthwise.core.plain import plain

DEFAULT = Path("runs")
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(runs)
    app.command()(trials)
    app.command()(rm)


def runs(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the run folders are.")] = DEFAULT,
    storage: options.Storage = None,
    json: options.Json = False,
) -> None:
    """List the runs in a folder, oldest first."""
    from widthwise.report.tables import run_table
    from widthwise.study.runs import list_runs

    output = Output()
    none_yet = folder == DEFAULT and not folder.exists()
    found = [] if none_yet else list_runs(folder, storage=storage)
    if json:
        print_json([{**vars(run), "path": str(run.path)} for run in found])
    elif not found:
        output.say(f"No runs in {folder} yet; widthwise search CONFIG makes one, widthwise demo shows how")
    else:
        output.show(run_table(found))
        for run in found:
            if run.trouble is not None:
                output.warn(run.trouble)


def trials(
    run: RunFolder,
    kind: Annotated[
        str, typer.Option("--format", metavar="csv|json|parquet", help="How they are written.")
    ] = "csv",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="By default the terminal.")
    ] = None,
    force: options.Force = False,
    storage: options.Storage = None,
) -> None:
    """Export all trials of a run."""
    from widthwise.study.runs import ExportFormat, export_trials

    if kind not in get_args(ExportFormat):
        raise unknown("format", kind, get_args(ExportFormat), where="--format")
    storage = configs.storage_of(run, storage)
    if out is None:
        if kind == "parquet" and sys.stdout.isatty():
            raise UserError("--format parquet: is not for a terminal; give a file with --out")
        sys.stdout.flush()
        with reading(wanted=not sys.stdout.isatty()) as progress:
            export_trials(run, kind, sys.stdout.buffer, storage=storage, progress=progress)
            sys.stdout.buffer.flush()
        return
    check_new_file(out, force=force)
    with reading() as progress, file_in_one_piece(out) as stream:
        count = export_trials(run, kind, stream, storage=storage, progress=progress)
    Output().say(f"Wrote {out}: {count:,} trials")


def rm(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN", help="Run folders.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    storage: options.Storage = None,
) -> None:
    """Delete runs with all their trials, after asking.

    Those in a database elsewhere only with --storage.
    """
    from widthwise.study.runs import remove_run

    output = Output()
    for folder in folders:
        size, stays = _size(folder, storage)
        if not yes:
            if not is_interactive():
                raise UserError(f"{folder}: is not deleted without asking; say --yes where nobody can answer")
            typer.confirm(plain(f"Delete {folder} ({size})?"), abort=True, err=True)
        remove_run(folder, storage=storage)
        output.say(f"Deleted {folder} ({size})")
        if stays:
            output.warn(stays)


def _size(folder: Path, storage: str | None) -> tuple[str, str]:
    """What would be deleted, and what would stay elsewhere; raises UserError where it is no run."""
    from widthwise.study.runs import list_runs
    from widthwise.study.sources import ElsewhereError, run_source

    try:
        run_source(folder, storage)
    except ElsewhereError as error:
        return (
            "the folder alone",
            f"its trials stay in {error.url}; --storage {error.url} would delete them too",
        )
    found = next((run for run in list_runs(folder, storage=storage) if run.path == folder.expanduser()), None)
    return f"{found.trials:,} trials" if found is not None and found.trouble is None else "damaged", ""
