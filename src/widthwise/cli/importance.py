"""widthwise importance: which decisions of a run matter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from widthwise.cli import configs, options
from widthwise.cli.output import Output, check_new_file, print_json, reading
from widthwise.core.errors import UserError


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(importance)


def importance(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    metrics: Annotated[
        str | None, typer.Option("--metrics", metavar="A,B,…", help="Or all. Default: the objectives.")
    ] = None,
    top: Annotated[int, typer.Option("--top", help="Rows of each table.")] = 10,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with all of it.")
    ] = None,
    force: options.Force = False,
    storage: options.Storage = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Tell what each decision of a run does to each metric."""
    output = Output(quiet=quiet, silent=json)
    if top < 1:
        raise UserError(f"--top {top}: give 1 or more")
    if html is not None:
        check_new_file(html, force=force, ending=".html")
    from widthwise.report import importance as words
    from widthwise.study.importance import importance as importance_of
    from widthwise.study.run_folder import load_run

    wanted = None if metrics is None else [name.strip() for name in metrics.split(",") if name.strip()]
    storage = configs.storage_of(run, storage)
    with reading(wanted=not json and not quiet) as progress:
        study = load_run(run, storage=storage, progress=progress)
        found = importance_of(study, metrics=wanted, progress=progress)
    if html is not None:
        from widthwise.core.files import write_atomically
        from widthwise.report.importance_page import importance_page

        write_atomically(html, importance_page(found).encode())
    if json:
        print_json(found.as_json())
    for line in words.heading_lines(found):
        output.note(line)
    for sheet in words.sheets(found, top=top):
        output.show_sheet(sheet)
    for line in words.caution_lines(found):
        output.warn(line)
    if html is not None:
        output.say(f"Written: {html}")
