"""widthwise explain: which tensor did the damage, whether mixing helped, and what to search next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from widthwise.cli import configs, options
from widthwise.cli.output import Output, print_json

if TYPE_CHECKING:
    from widthwise.study.explanation import Explanation
    from widthwise.study.study import Study


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(explain)


def explain(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    pick: Annotated[
        str | None,
        typer.Option(
            "--pick",
            metavar="RULE",
            help='The trial to explain: knee, best:METRIC, "best accuracy with model_size <= 2KiB"; '
            "by default the knee.",
        ),
    ] = None,
    pairs: Annotated[int, typer.Option("--pairs", help="Pairs of changes to evaluate, at most.")] = 2000,
    seconds: Annotated[
        float, typer.Option("--seconds", help="After which no further pairs are begun.")
    ] = 120.0,
    storage: options.Storage = None,
    untrusted: options.Untrusted = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Tell which tensor did the damage, and what to change.

    Also whether mixing helped, and what to search next.
    """
    output = Output(quiet=quiet, silent=json)
    storage = configs.storage_of(run, storage)
    of_run = configs.config_of_run(run, untrusted=untrusted, storage=storage)
    configs.announce_code(of_run, output, untrusted=untrusted)
    from widthwise.search.explaining import explain as explained
    from widthwise.study.run_folder import load_run

    study = load_run(run, storage=storage)
    found = explained(study, pick=pick, pairs=pairs, seconds=seconds)
    if json:
        print_json(found.as_json())
    _show(found, study, output)


def _show(found: Explanation, study: Study, output: Output) -> None:
    from widthwise.report import explanation as words
    from widthwise.study.run_files import EXPLANATION, NEXT

    metrics = {metric.name: metric for metric in study.record.metrics}
    _say(words.heading_line(found, metrics), output)
    if (damage := words.damage_sheet(found, metrics)) is not None:
        output.show_sheet(damage)
    for line in words.pair_lines(found, metrics):
        _say(line, output)
    if (bargains := words.bargain_sheet(found, metrics)) is not None:
        output.show_sheet(bargains)
    output.note()
    for line in words.mixing_lines(found.mixing[-1], metrics) if found.mixing else []:
        _say(line, output)
    folder = study.folder or Path()
    _say(words.advice_line(found), output)
    if found.advice.config is not None:
        output.say(f"The next search without them: {folder / NEXT}")
    output.note(f"{found.evaluations:,} evaluations; all of it: {folder / EXPLANATION}")
    for line in found.not_told:
        output.warn(line)


def _say(line: str, output: Output) -> None:
    """A sentence, broken at the terminal's width."""
    from rich.text import Text

    from widthwise.core.plain import plain

    output.show(Text(plain(line)))
