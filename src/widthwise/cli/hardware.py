"""widthwise certify and import-report: what tools measure of the networks of trials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from widthwise.cli import configs, options
from widthwise.cli.output import Output, print_json
from widthwise.core.errors import UserError

if TYPE_CHECKING:
    from widthwise.export.certify import Certificate

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(certify)
    app.command()(import_report)


def certify(
    run: RunFolder,
    trial: Annotated[
        list[int] | None, typer.Option("--trial", help="This one; repeatable. By default the front.")
    ] = None,
    pick: Annotated[
        str | None,
        typer.Option(
            "--pick",
            metavar="RULE",
            help='The trial that this picks: knee, best:METRIC, "best accuracy with model_size <= 2KiB".',
        ),
    ] = None,
    pipeline: Annotated[
        float,
        typer.Option("--pipeline", min=0.0, help="Adders between registers; 0: no registers, no clock."),
    ] = 0.0,
    place: Annotated[
        bool, typer.Option("--place/--no-place", help="Place and route small ones, with nextpnr.")
    ] = True,
    again: Annotated[bool, typer.Option("--again", help="Also those that were measured before.")] = False,
    storage: options.Storage = None,
    untrusted: options.Untrusted = False,
    json: options.Json = False,
) -> int:
    """Synthesise trials with Yosys, and keep what it measures.

    The netlist is simulated against the expected outputs first.
    """
    output = Output(silent=json)
    if trial and pick is not None:
        raise UserError("--trial and --pick contradict one another; leave one out")
    storage = configs.storage_of(run, storage)
    of_run = configs.config_of_run(run, untrusted=untrusted, storage=storage)
    configs.announce_code(of_run, output, untrusted=untrusted)
    from widthwise.export.certify import certify as measure
    from widthwise.report.measured import certificate_lines
    from widthwise.study.run_folder import load_run

    study = load_run(run, storage=storage)
    chosen = [study.pick(pick)] if pick is not None else trial or None

    def told(found: Certificate) -> None:
        for line in certificate_lines(found):
            output.say(line)

    found = measure(study, chosen, pipeline=pipeline, place=place, again=again, told=told, begun=output.note)
    if json:
        print_json([each.as_json() for each in found])
    return 1 if any(each.refused for each in found) else 0


def import_report(
    run: RunFolder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Vivado's utilisation, or csynth.xml.")],
    trial: Annotated[int, typer.Option("--trial", help="The trial whose network it is of.")],
    storage: options.Storage = None,
    json: options.Json = False,
) -> None:
    """Keep the figures of a report of Vivado or Vitis HLS."""
    from widthwise.export.importing import import_report as read
    from widthwise.report.measured import measured_lines
    from widthwise.study.run_folder import load_run

    found = read(load_run(run, storage=configs.storage_of(run, storage)), trial, file)
    if json:
        print_json(found.as_json())
        return
    output = Output()
    output.say(f"Trial {trial} of {run}, by {found.version}:")
    for line in measured_lines(found):
        output.say(line)
