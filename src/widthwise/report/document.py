"""Pages in one file: style, scripts and data inside, all text escaped, nothing fetched from anywhere."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from widthwise.core.finite import finite
from widthwise.report.sheets import Sheet

PLOTLY = "plotly-cartesian.min.js"
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "connect-src {connect}; form-action 'none'; base-uri 'none'"
)


@cache
def asset(name: str) -> str:
    """A file of ours that becomes part of pages."""
    return (files("widthwise.report") / "assets" / name).read_text(encoding="utf-8")


def document(
    *,
    title: str,
    body: str,
    data: Mapping[str, Any],
    scripts: Sequence[str],
    live: bool = False,
) -> str:
    """A whole page; `body` is HTML, data JSON values by the id of the element that holds them.

    scripts: names of assets, which come after plotly's. live: the page may ask the server that it is from.
    """
    policy = POLICY.format(connect="'self'" if live else "'none'")
    held = "\n".join(
        f'<script type="application/json" id="{text(name)}">{embedded(content)}</script>'
        for name, content in data.items()
    )
    code = "\n".join(f"<script>{asset(name)}</script>" for name in (PLOTLY, "theme.js", *scripts))
    return (
        '<!doctype html>\n<html lang="en" data-theme="light">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{asset('page.css')}</style>\n"
        f"</head>\n<body>\n<header><h1>{text(title)}</h1>"
        '<button type="button" id="theme">light or dark</button></header>\n'
        f'<main id="main">\n{body}\n</main>\n{held}\n{code}\n</body>\n</html>\n'
    )


def text(words: object) -> str:
    """Words as they are, in HTML."""
    return html.escape(str(words))


def embedded(content: Any) -> str:
    """JSON that may stand inside a script element: nothing in it can end the element; null for NaN."""
    shown = json.dumps(finite(content), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return shown.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def paragraphs(lines: Sequence[str], kind: str = "") -> str:
    """A paragraph a line."""
    of = f' class="{kind}"' if kind else ""
    return "\n".join(f"<p{of}>{text(line)}</p>" for line in lines)


def chart_element(key: str, label: str, kind: str = "") -> str:
    """Where a chart is drawn; key: its id, never a name of the user's."""
    kinds = f"chart {kind}".strip()
    return f'<div class="{kinds}" id="{key}" role="img" aria-label="{text(label)}"></div>'


def sheet_table(sheet: Sheet) -> str:
    """A table that scrolls where it is too wide."""

    def cell(tag: str, column: int, words: str) -> str:
        kind = ' class="number"' if sheet.holds_numbers(column) else ""
        scope = ' scope="col"' if tag == "th" else ""
        return f"<{tag}{scope}{kind}>{text(words)}</{tag}>"

    head = "".join(cell("th", column, header) for column, header in enumerate(sheet.headers))
    rows = "\n".join(
        "<tr>" + "".join(cell("td", column, words) for column, words in enumerate(row)) + "</tr>"
        for row in sheet.rows
    )
    return scrolling(
        f"<table>\n<caption>{text(sheet.title)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody>\n</table>",
        sheet.title,
    )


def scrolling(content: str, label: str) -> str:
    """HTML that scrolls sideways, by keyboard too."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{text(label)}">{content}</div>'
