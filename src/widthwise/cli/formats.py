"""widthwise formats: the number formats, listed and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from widthwise.cli import options
from widthwise.cli.output import Output, check_new_file, print_json


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    group = typer.Typer(rich_markup_mode=None, help="List the number formats, or draw them.")
    group.callback(invoke_without_command=True)(formats)
    group.command()(plot)
    app.add_typer(group, name="formats")


def formats(context: typer.Context, json: options.Json = False) -> None:
    """List the number formats with their parameters and bits."""
    if context.invoked_subcommand is not None:
        return
    from widthwise.core.registry import OWN
    from widthwise.formats import catalogue

    output = Output()
    rows = catalogue(broken=lambda error: output.warn(str(error)))
    if json:
        print_json([_as_json(row) for row in rows])
        return
    from widthwise.report.tables import plain_table

    table = plain_table(
        ["format", "parameters", "example", "bits", "values"],
        [
            [
                (row.name, *row.aliases),
                tuple(map(_parameter, row.parameters)),
                str(row.example),
                f"{row.bits:g}",
                row.summary if row.package == OWN else f"{row.summary} (package {row.package})",
            ]
            for row in rows
        ],
        right=["bits"],
    )
    table.show_lines = True
    output.show(table)
    output.say(
        "In a config: name, with these parameters behind data_in_, weight_ and bias_, as weight_width."
    )


def plot(
    names: Annotated[list[str], typer.Argument(metavar="FORMAT", help="As fixed<8,4>, e4m3 or mxint8/32.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The page.")] = Path("formats.html"),
    force: options.Force = False,
) -> None:
    """Draw value sets and rounding errors of formats on an HTML page."""
    from widthwise.core.files import write_atomically
    from widthwise.formats import import_own, parse
    from widthwise.report.formats_page import formats_page

    check_new_file(out, force=force, ending=".html")
    for name in names:
        import_own(name.partition("<")[0])
    chosen = [parse(name) for name in names]
    write_atomically(out, formats_page(chosen).encode())
    Output().say(f"Wrote {out}")


def _parameter(parameter: Any) -> str:
    if parameter.required:
        return f"{parameter.name}: {parameter.meaning}"
    return f"{parameter.name} = {parameter.default}: {parameter.meaning}"


def _as_json(row: Any) -> dict[str, Any]:
    return {
        "name": row.name,
        "aliases": list(row.aliases),
        "parameters": [
            {
                "name": parameter.name,
                "required": parameter.required,
                "default": None if parameter.default is None else str(parameter.default),
                "meaning": parameter.meaning,
            }
            for parameter in row.parameters
        ],
        "example": str(row.example),
        "bits": row.bits,
        "values": row.summary,
        "package": row.package,
    }
