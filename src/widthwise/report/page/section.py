"""The parts of a study's page by name."""

from __future__ import annotations

from collections.abc import Sequence

from widthwise.report.document import text

SECTIONS = (
    ("overview", "Overview"),
    ("front", "The front"),
    ("mixing", "Did mixing help?"),
    ("layers", "Layer by layer"),
    ("detail", "Quality in detail"),
    ("damage", "What did the damage"),
    ("course", "How the search went"),
    ("get", "How to get it"),
)


def section(key: str, content: Sequence[str]) -> str:
    return (
        f'<section>\n<h2 id="{key}">{text(dict(SECTIONS)[key])}</h2>\n' + "\n".join(content) + "\n</section>"
    )
