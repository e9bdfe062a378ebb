"""Tables as plain text, for what passes found."""

from __future__ import annotations

from collections.abc import Sequence

from widthwise.core.plain import plain

WIDE = 200  # columns; a table is as wide as its text needs, up to this


def text_table(title: str, headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows under headers, aligned, with a line under the headers; numbers stand to the right."""
    from io import StringIO

    from rich import box
    from rich.console import Console
    from rich.table import Table

    numeric = [
        bool(rows) and all(isinstance(row[i], int | float) for row in rows) for i in range(len(headers))
    ]
    table = Table(title=title, title_justify="left", title_style="", box=box.SIMPLE_HEAD, pad_edge=False)
    for header, right in zip(headers, numeric, strict=True):
        table.add_column(plain(header), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_text(cell) for cell in row))
    out = StringIO()
    Console(file=out, width=WIDE, color_system=None, markup=False, highlight=False, emoji=False).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).rstrip()


def _text(cell: object) -> str:
    return f"{cell:.4g}" if isinstance(cell, float) else plain(cell)
