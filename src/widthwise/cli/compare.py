"""widthwise compare and importance: which strategy needs fewest evaluations, and which decisions matter."""

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
from widthwise.cli.groups import grouped
from widthwise.cli.output import Output, check_new_file, make_console, print_json, reading
from widthwise.core.errors import UserError
from widthwise.strategies.registry import COMPARED

if TYPE_CHECKING:
    from widthwise.config import SearchConfig
    from widthwise.report.sheets import Sheet
    from widthwise.search.comparing import Comparison, Done, Entrant

PAGE = "comparison.html"
STOPPED = 128 + signal.SIGINT


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(grouped(compare))
    app.command()(importance)


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
    config: options.Config,
    *,
    runs: Runs,
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
    read = options.read_config(config, options.given(network), setup, untrusted=untrusted)
    options.announce_code(read, output, untrusted=untrusted)
    entrants = _entrants(runs.strategies, read, output, untrusted=untrusted)
    options.warn_of_ignored_keys(read, output)
    options.check_device(setup.device)
    if out is not None:
        _check_folder(out, force=force)
    from widthwise.report.problem import data_lines
    from widthwise.search.comparing import compare as compare_strategies
    from widthwise.search.comparing.writing import as_csv, as_json
    from widthwise.search.problem import load_problem
    from widthwise.search.told import warnings_of

    problem = load_problem(read, memory=options.size_in_bytes(memory, "--memory"))

    def started() -> None:
        for line in data_lines(problem.data):
            output.note(line)
        for line in warnings_of(problem, mend="load trained ones (--load CHECKPOINT)"):
            output.warn(line)

    with _unless_stopped(output), _progress(output) as progress:
        found = compare_strategies(
            problem,
            entrants,
            seeds=runs.seeds,
            budget=runs.budget,
            batch=runs.batch,
            most_enumerated=runs.enumerate_up_to,
            progress=progress,
            started=started,
        )
    written = _write(found, out) if out is not None else ()
    if json:
        print_json(as_json(found))
    elif csv:
        typer.echo(as_csv(found), nl=False)
    _show(found, output)
    if written:
        output.say(f"Written: {', '.join(map(str, written))}")
    raise typer.Exit(STOPPED if found.interrupted else 1 if found.failures else 0)


def _entrants(
    strategies: str, config: SearchConfig, output: Output, *, untrusted: bool
) -> tuple[Entrant, ...]:
    """The strategies to compare, checked before anything is loaded; those that are code are announced."""
    from widthwise.search.comparing import Entrant, parse_entrants
    from widthwise.strategies.registry import REGISTRY

    own = config.search.strategy
    entrants = parse_entrants(strategies, configured=Entrant(own.name, own.options), where="--strategies")
    code = ", ".join(dict.fromkeys(entrant.name for entrant in entrants if REGISTRY.is_code(entrant.name)))
    if code and untrusted:
        raise UserError(
            f"--strategies: {code}: names code that would run, which --untrusted refuses; name built-in ones"
        )
    if code:
        output.warn(f"--strategies runs code: {code}")
    return entrants


def _show(comparison: Comparison, output: Output) -> None:
    """The comparison in the terminal."""
    from widthwise.report import comparing as words

    for line in words.heading_lines(comparison):
        output.note(line)
    for sheet in words.sheets(comparison):
        _show_sheet(sheet, output)
    for line in words.caution_lines(comparison):
        output.warn(line)


def _show_sheet(sheet: Sheet, output: Output) -> None:
    from widthwise.report.tables import plain_table

    right = [header for column, header in enumerate(sheet.headers) if sheet.holds_numbers(column)]
    output.note()
    output.say(sheet.title)
    output.show(plain_table(sheet.headers, sheet.rows, right=right))


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
    storage = options.storage_of(run, storage)
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
        _show_sheet(sheet, output)
    for line in words.caution_lines(found):
        output.warn(line)
    if html is not None:
        output.say(f"Written: {html}")
