"""widthwise check: whether all that a run keeps is what was written, and saving what is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from widthwise.cli import configs, options
from widthwise.cli.output import Output, print_json
from widthwise.core.errors import UserError

if TYPE_CHECKING:
    from widthwise.study.checking import Finding


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(check)


def check(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    salvage: Annotated[
        Path | None,
        typer.Option("--salvage", metavar="FOLDER", help="Copy what is sound into this new run."),
    ] = None,
    storage: options.Storage = None,
    untrusted: options.Untrusted = False,
    json: options.Json = False,
) -> int:
    """Look at all that a run keeps, and name what is damaged."""
    from widthwise.study.checking import check_run, salvage_run, told

    output = Output(silent=json)
    storage = configs.storage_of(run, storage)
    if salvage is not None:
        study, found = salvage_run(run, salvage, storage=storage)
        output.say(f"Wrote {salvage}: {len(study.trials):,} trials; {told(found)}")
        if json:
            print_json({"run": str(salvage), "trials": len(study.trials), "lost_batches": found.damaged})
        return 0
    networks = _may_make_networks(run, output, untrusted=untrusted, storage=storage)
    findings = []
    for finding in check_run(run, storage=storage, networks=networks):
        findings.append(finding)
        output.say(_line(finding))
    damaged = sum(finding.trouble is not None for finding in findings)
    if json:
        print_json([vars(finding) for finding in findings])
    output.say(f"{run}: {damaged} of {len(findings)} are damaged" if damaged else f"{run}: all is sound")
    return 1 if damaged else 0


def _may_make_networks(run: Path, output: Output, *, untrusted: bool, storage: str | None) -> bool:
    """Whether networks are made: not where that would run code that isn't trusted, or nothing can be read."""
    from widthwise.study.run_folder import load_run

    try:
        load_run(run, storage=storage)
    except UserError:
        return False
    try:
        of_run = configs.config_of_run(run, untrusted=untrusted, storage=storage)
    except UserError as error:
        output.warn(f"networks are not looked at: {error}")
        return False
    configs.announce_code(of_run, output, untrusted=untrusted)
    return True


def _line(finding: Finding) -> str:
    if finding.trouble is not None:
        return f"DAMAGED  {finding.what}: {finding.trouble}"
    return f"sound    {finding.what}{f': {finding.note}' if finding.note else ''}"
