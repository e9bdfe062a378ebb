"""widthwise export: the network of a trial in a form that other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from widthwise.cli import configs, options
from widthwise.cli.output import Output, print_json
from widthwise.core.errors import UserError


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(export)


def export(
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
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FORM",
            help="torch, onnx, qonnx, c, hls4ml, verilog or vhdl.",
            autocompletion=options.forms,
        ),
    ] = "torch",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Where it is written; has to be given.")
    ] = None,
    with_scaler: Annotated[
        bool,
        typer.Option(
            "--with-scaler",
            help="What is written standardises its input itself, as the data was.",
        ),
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune/--no-prune",
            help="Leave out channels of trained widths that add no bit to any output.",
        ),
    ] = True,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="KEY=VALUE", help="Of the form, as pipeline=4; repeatable."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the export that is there.")] = False,
    storage: options.Storage = None,
    untrusted: options.Untrusted = False,
    json: options.Json = False,
) -> None:
    """Write a trial's network for other tools, and run that.

    What runs is compared with what was judged; one that differs is not called done.
    """
    from widthwise.network.forms import EXPORTERS

    output = Output(silent=json)
    if (trial is None) == (pick is None):
        raise UserError("say which trial: --trial N, or --pick RULE, as in --pick knee")
    if out is None:
        raise UserError("--out: is missing; name the folder to write")
    form = EXPORTERS.find(to, where="--to")
    if untrusted and EXPORTERS.is_code(to):
        raise UserError(f"--to {to}: is code of the package {form.package}, which --untrusted refuses")
    storage = configs.storage_of(run, storage)
    of_run = configs.config_of_run(run, untrusted=untrusted, storage=storage)
    configs.announce_code(of_run, output, untrusted=untrusted)
    from widthwise.export.write import export as write
    from widthwise.study.run_folder import load_run

    chosen: int | str = trial if trial is not None else str(pick)
    read = _read(option or [])
    study = load_run(run, storage=storage)
    done = write(study, chosen, to, out, with_scaler=with_scaler, prune=prune, options=read, force=force)
    if done.check.as_judged is False:
        output.warn(
            "the network's outputs are not, bit for bit, those that were judged: another processor or "
            "version of torch rounds otherwise"
        )
    if json:
        print_json(done.as_json())
        return
    from widthwise.report.exported import export_lines, files_listed

    of = f"trial {done.trial.number} of {run}"
    output.say(f"Wrote {done.folder}: {of} as {done.form} ({files_listed(done.exported.files)})")
    for line in export_lines(done):
        output.say(line)


def _read(pairs: list[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise UserError(f"--option {pair}: write KEY=VALUE, as in --option pipeline=4")
    return {key.strip(): value.strip() for key, _, value in (pair.partition("=") for pair in pairs)}
