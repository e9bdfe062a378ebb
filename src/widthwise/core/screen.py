"""Things as one screen of text, and as HTML where a notebook shows them; whatever they hold is escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence

from widthwise.core.plain import plain

LINES = 24  # of a screen


def one_screen(lines: Sequence[str], *, most: int = LINES) -> str:
    """The lines, of many the first ones and how many are left out."""
    if len(lines) <= most:
        return "\n".join(lines)
    return "\n".join([*lines[: most - 1], f"… {len(lines) - most + 1:,} more lines"])


def html_table(
    title: str, headers: Sequence[str], rows: Sequence[Sequence[str]], *, most: int = LINES
) -> str:
    """A table with a heading, of many rows the first ones and how many are left out."""
    head = "".join(f'<th scope="col">{html.escape(plain(name))}</th>' for name in headers)
    cells = [
        "<tr>" + "".join(f"<td>{html.escape(plain(words))}</td>" for words in row) + "</tr>"
        for row in rows[:most]
    ]
    left = f"<p>… {len(rows) - most:,} more rows</p>" if len(rows) > most else ""
    body = "".join(cells)
    return (
        f"<div><p><b>{html.escape(plain(title))}</b></p><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>{left}</div>"
    )
