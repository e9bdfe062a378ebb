"""widthwise report: a run in the terminal, as a page, a table or a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from widthwise.cli import configs, options
from widthwise.cli.output import Output, check_new_file, reading
from widthwise.core.errors import UserError, unknown
from widthwise.core.files import file_in_one_piece

if TYPE_CHECKING:
    from widthwise.study.study import Study

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(report)


def report(
    run: RunFolder,
    pick: Annotated[
        str | None,
        typer.Option(
            "--pick",
            metavar="RULE",
            help='The trial to show: knee, best:METRIC, "best accuracy with model_size <= 2KiB".',
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Each row of the front.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page to look at.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--format", metavar="md|csv|png|pdf|svg", help="Front for papers and READMEs."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="For --format; else the terminal.")
    ] = None,
    force: options.Force = False,
    storage: options.Storage = None,
    json: options.Json = False,
) -> None:
    """Print the best trials of a run again, or as a page."""
    from widthwise.cli.results import print_study_json
    from widthwise.report.written import as_bytes
    from widthwise.study.run_folder import load_run

    if json and kind is not None and out is None:
        raise UserError(f"--format {kind}: goes to the terminal, as --json does; give a file with --out")
    _check_written(html, kind, out, force=force)
    files = {"html": html, kind or "": out}
    asked = {form: path for form, path in files.items() if path is not None or form not in ("html", "")}
    storage = configs.storage_of(run, storage)
    with reading(wanted=not json) as progress:
        study = load_run(run, storage=storage, progress=progress)
        if asked:
            progress.step("writing")
            made = as_bytes(study, pick, list(asked), everything=everything)
    for form, path in asked.items():
        _write(made[form], path, quiet=json)
    if json:
        print_study_json(study, pick)
    elif not asked:
        _print(study, run, pick, everything=everything)


def _print(study: Study, run: Path, rule: str | None, *, everything: bool) -> None:
    from widthwise.cli.results import print_best, print_picked
    from widthwise.report.terminal import ending_lines, resume_command

    if rule is not None:
        study.pick(rule)  # a rule that can't be read or met is said before anything is printed
    output = Output()
    settings = study.record.settings
    output.say(f"{run}: {settings.model}, {settings.strategy}")
    if settings.data:
        output.say(f"{settings.data}\n")
    print_best(study, output, everything=everything, tested=rule is None)
    for line in ending_lines(study):
        output.say(line)
    if study.finished is None:
        output.say(f"Go on: {resume_command(run)}")
    if rule is not None:
        print_picked(study, rule, output)


def _check_written(html: Path | None, kind: str | None, out: Path | None, *, force: bool) -> None:
    """Raises UserError for what can't be written, before anything is read."""
    from widthwise.report.written import KINDS, PICTURES

    if kind is not None and kind not in KINDS:
        raise unknown("format", kind, KINDS, where="--format")
    if kind is None and out is not None:
        raise UserError(f"--out: goes with --format {'|'.join(KINDS)}; a page is written by --html FILE")
    if kind in PICTURES and out is None:
        raise UserError(f"--format {kind}: is not for a terminal; give a file with --out")
    for path, ending in ((html, ".html"), (out, f".{kind}")):
        if path is not None:
            check_new_file(path, force=force, ending=ending)


def _write(content: bytes, path: Path | None, *, quiet: bool) -> None:
    """Into a file; to the terminal where there is none. quiet: nothing is said of it, as JSON goes there."""
    if path is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    with file_in_one_piece(path) as stream:
        stream.write(content)
    Output(silent=quiet).say(f"Wrote {path}")
