"""widthwise watch: a search as a live page on this machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from widthwise.cli import configs, options
from widthwise.cli.output import Output
from widthwise.core.errors import UserError


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(watch)


def watch(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run that is searching.")],
    pick: Annotated[
        str | None,
        typer.Option(
            "--pick",
            metavar="RULE",
            help='The trial to show: knee, best:METRIC, "best accuracy with model_size <= 2KiB".',
        ),
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: one that is free.")] = 0,
    storage: options.Storage = None,
    quiet: options.Quiet = False,
) -> None:
    """Serve the page of a search that runs, live."""
    from widthwise.report.watching import LOOK_SECONDS, Server, Watched
    from widthwise.study.run_folder import load_run
    from widthwise.study.searching import is_searching

    output = Output(quiet=quiet)
    source = configs.storage_of(run, storage)
    study = load_run(run, storage=source)
    if not is_searching(study):
        raise UserError(f"{run}: nobody is searching; `widthwise report {run} --html FILE` writes its page")
    watched = Watched(lambda: load_run(run, storage=source), pick if study.front else None)
    watched.look()
    with Server(watched, port) as server:
        output.say(server.address)
        output.note("Follows the search, and ends with it or by Ctrl-C; for this machine alone.")
        while not watched.ended:
            time.sleep(LOOK_SECONDS)
            watched.look()
        server.finish()
    output.note(f"The search has ended. See it again: widthwise report {run} --html FILE")
