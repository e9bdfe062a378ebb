"""widthwise measure: how long the networks of a run take on this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from widthwise.cli import configs, options
from widthwise.cli.output import Output, print_json
from widthwise.core.errors import UserError

if TYPE_CHECKING:
    from widthwise.config import SearchConfig
    from widthwise.export.latency.latency import Latency
    from widthwise.metrics.timing import Timing
    from widthwise.study.study import Study
    from widthwise.study.trials import Trial


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(measure)


def measure(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    trial: Annotated[int | None, typer.Option("--trial", help="The network of this trial.")] = None,
    pick: Annotated[
        str | None,
        typer.Option(
            "--pick",
            metavar="RULE",
            help='Of the trial that this picks: knee, best:METRIC, "best accuracy with model_size <= 2KiB".',
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", help="Within an operation; by default the config's, or 1.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", help="Samples of a call; by default the config's, or 1.")
    ] = None,
    warm_up: Annotated[
        int | None,
        typer.Option("--warm-up", help="Calls before any that counts; by default the config's, or 20."),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            "--rounds",
            help="How often the network and the float network take turns; by default the config's, or 100.",
        ),
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime",
            metavar="auto|onnxruntime|torch",
            help="What runs them; by default the config's, or auto.",
        ),
    ] = None,
    storage: options.Storage = None,
    untrusted: options.Untrusted = False,
    json: options.Json = False,
) -> None:
    """Measure how long networks of a run take here.

    By default those of its front.
    """
    output = Output(silent=json)
    if trial is not None and pick is not None:
        raise UserError("--trial and --pick: give one of them, or neither for the front")
    storage = configs.storage_of(run, storage)
    of_run = configs.config_of_run(run, untrusted=untrusted, storage=storage)
    configs.announce_code(of_run, output, untrusted=untrusted)
    given = {"threads": threads, "batch": batch, "warm_up": warm_up, "rounds": rounds, "runtime": runtime}
    timing = _timing(of_run, given)
    from widthwise.study.run_folder import load_run

    study = load_run(run, storage=storage)
    found = _measured(study, _trials(study, trial, pick), timing)
    if json:
        told = [each if isinstance(each, str) else each.as_json() for _, each in found]
        rows = [{"trouble": each} if isinstance(each, str) else each for each in told]
        print_json([{"trial": one.number, **row} for (one, _), row in zip(found, rows, strict=True)])
        return
    _show(found, output)


def _measured(study: Study, trials: list[Trial], timing: Timing) -> list[tuple[Trial, Latency | str]]:
    """Each trial with its latency, or why there is none; UserError where it is of none of them."""
    from widthwise.export.latency.latency import measure as time_trial
    from widthwise.export.latency.turns import NotMeasurableError

    found: list[tuple[Trial, Latency | str]] = []
    for each in trials:
        try:
            found.append((each, time_trial(study, each, timing=timing)))
        except NotMeasurableError as error:
            found.append((each, str(error)))
    if all(isinstance(each, str) for _, each in found):
        raise NotMeasurableError(str(found[0][1]))
    return found


def _timing(config: SearchConfig, given: dict[str, Any]) -> Timing:
    """As the run's config has it, but for what is given."""
    return replace(config.search.timing, **{key: value for key, value in given.items() if value is not None})


def _trials(study: Study, trial: int | None, pick: str | None) -> list[Trial]:
    from widthwise.export.write import chosen_trial

    if trial is not None:
        return [study.trial(trial)]
    if pick is not None:
        return [chosen_trial(study, pick)]
    if not study.front:
        raise UserError("there is nothing to measure; no trial succeeded within the bounds")
    return [tie.trial for tie in study.ties]


def _show(found: list[tuple[Trial, Latency | str]], output: Output) -> None:
    from widthwise.report.latency import HEADERS, how_line, latency_row
    from widthwise.report.tables import plain_table

    empty = [""] * len(HEADERS)
    rows = [
        [str(trial.number), *(empty if isinstance(each, str) else latency_row(each))] for trial, each in found
    ]
    output.show(plain_table(["trial", *HEADERS], rows, right=["trial", *HEADERS[:2]]))
    output.say(how_line(next(each for _, each in reversed(found) if not isinstance(each, str))))
    for trial, each in found:
        if isinstance(each, str):
            output.warn(f"trial {trial.number}: {each}")
