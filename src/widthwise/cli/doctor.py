"""widthwise doctor: what this machine has of what widthwise can use."""

from __future__ import annotations

import typer

from widthwise.cli import options
from widthwise.cli.output import Output, print_json


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(doctor)


def doctor(json: options.Json = False) -> None:
    """Tell which tools are here, what for, how to get others."""
    from widthwise.report.machine import as_json, machine
    from widthwise.report.tables import plain_table

    found = machine()
    if json:
        print_json(as_json(found))
        return
    output = Output()
    rows = [[part.name, part.found or "missing", part.purpose] for part in found]
    output.show(plain_table(["", "found", "for"], rows))
    if missing := [part for part in found if part.found is None and part.how]:
        output.say("\nMissing, needed only for what stands beside them:")
        for part in missing:
            output.say(f"  {part.name}: {part.how}")
