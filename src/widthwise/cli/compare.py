"""widthwise compare: which strategy needs fewest evaluations, on a config's search or on a table."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from widthwise.cli import options
from widthwise.cli.contests import Tabled, Task, check_one, of_config, of_table
from widthwise.cli.groups import grouped
from widthwise.cli.output import Output, check_new_file, make_console, print_json
from widthwise.core.errors import UserError
from widthwise.strategies.registry import COMPARED

if TYPE_CHECKING:
    from widthwise.search.comparing import Comparison, Done

PAGE = "comparison.html"
STOPPED = 128 + signal.SIGINT


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(grouped(compare))


@dataclass(frozen=True)
class Runs:
    """What is compared, and by how much."""

    strategies: Annotated[
        str, typer.Option("--strategies", metavar="A,B,…", help="With options as tpe(multivariate=false).")
    ] = COMPARED
    seeds: Annotated[int, typer.Option("--seeds", help="Runs of each strategy, with seeds from 0.")] = 10
    budget: Annotated[int, typer.Option("--budget", help="Evaluations of a run.")] = 200
    batch: Annotated[
        int | None,
        typer.Option("--batch", help="Candidates asked for at once; default: as each strategy likes."),
    ] = None
    enumerate_up_to: Annotated[
        int | None,
        typer.Option(
            "--enumerate-up-to", metavar="N", help="Evaluate the whole space first, up to this size."
        ),
    ] = None


def compare(
    config: Annotated[
        str | None,
        typer.Argument(metavar="CONFIG", help="TOML file; or give --table.", show_default=False),
    ] = None,
    *,
    runs: Runs,
    tabled: Tabled,
    network: options.Network,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Write comparison.html, .json and .csv there."),
    ] = None,
    force: options.Force = False,
    memory: options.Memory = None,
    setup: options.Setup,
    untrusted: options.Untrusted = False,
    json: options.Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print every curve as CSV.")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare strategies on a search, over several seeds."""
    if json and csv:
        raise UserError("--json and --csv contradict one another; leave one out (--out writes both)")
    output = Output(quiet=quiet, silent=json or csv)
    check_one(config, tabled, {**vars(network), **vars(setup), "memory": memory})
    if out is not None:
        _check_folder(out, force=force)
    if config is not None:
        task = of_config(config, runs.strategies, network, setup, memory, output, untrusted=untrusted)
    else:
        task = of_table(runs.strategies, tabled, untrusted=untrusted)
    found = _run(task, runs, output)
    written = _write(found, out) if out is not None else ()
    if json:
        from widthwise.search.comparing.writing import as_json

        print_json(as_json(found))
    elif csv:
        from widthwise.search.comparing.writing import as_csv

        typer.echo(as_csv(found), nl=False)
    _show(found, output)
    if written:
        output.say(f"Written: {', '.join(map(str, written))}")
    raise typer.Exit(STOPPED if found.interrupted else 1 if found.failures else 0)


def _run(task: Task, runs: Runs, output: Output) -> Comparison:
    """All runs, with a bar where somebody looks."""
    from widthwise.search.comparing import compare as compare_strategies

    def started() -> None:
        for line in task.notes():
            output.note(line)
        for line in task.warnings():
            output.warn(line)

    with _unless_stopped(output), _progress(output) as progress:
        return compare_strategies(
            task.problem,
            task.entrants,
            seeds=runs.seeds,
            budget=runs.budget,
            batch=runs.batch,
            most_enumerated=runs.enumerate_up_to,
            progress=progress,
            started=started,
        )


def _show(comparison: Comparison, output: Output) -> None:
    """The comparison in the terminal."""
    from widthwise.report import comparing as words

    for line in words.heading_lines(comparison):
        output.note(line)
    for sheet in words.sheets(comparison):
        output.show_sheet(sheet)
    for line in words.caution_lines(comparison):
        output.warn(line)


def _check_folder(folder: Path, *, force: bool) -> None:
    """UserError where the folder could not be made, or has a comparison already; makes nothing yet."""
    from widthwise.search.comparing.writing import CSV, JSON

    with _made_or_said(folder):
        above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        why = "can't be written to" if above.is_dir() else "is no folder"
        raise UserError(f"{folder}: can't be made: {above} {why}; choose another folder (--out)")
    for name in (JSON, CSV, PAGE):
        if (folder / name).exists():
            check_new_file(folder / name, force=force)


def _write(comparison: Comparison, folder: Path) -> tuple[Path, ...]:
    from widthwise.core.files import write_atomically
    from widthwise.report.compare_page import compare_page
    from widthwise.search.comparing.writing import write

    with _made_or_said(folder):
        folder.mkdir(parents=True, exist_ok=True)
    written = write(comparison, folder)
    write_atomically(folder / PAGE, compare_page(comparison).encode())
    return (folder / PAGE, *written)


@contextmanager
def _made_or_said(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{folder}: can't be made: {error.strerror}; choose another folder (--out)"
        ) from error


@contextmanager
def _unless_stopped(output: Output) -> Iterator[None]:
    """Says that nothing was done where Ctrl-C leaves nothing to show."""
    try:
        yield
    except KeyboardInterrupt:
        output.warn("stopped before any strategy was done; nothing was written")
        raise


@contextmanager
def _progress(output: Output) -> Iterator[Callable[[Done], None]]:
    """A bar on stderr where somebody looks at it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = make_console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    hidden = output.quiet or not console.is_terminal
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=hidden) as shown:
        bar = shown.add_task("", total=None)

        def tell(done: Done) -> None:
            shown.update(bar, description=done.stage, completed=done.done, total=done.total)

        yield tell
