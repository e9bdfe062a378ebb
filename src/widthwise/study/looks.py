"""How studies and results are looked at: the room of reports stands above, and is loaded when it is asked."""

from __future__ import annotations

from importlib import import_module
from typing import Any, TypeVar

T = TypeVar("T")

NOTEBOOK = "widthwise.report.notebook"
RESULTS = "widthwise.report.results"


def looked_at(how: str, *args: Any, **options: Any) -> Any:
    """What the function `how` of NOTEBOOK gives."""
    return getattr(import_module(NOTEBOOK), how)(*args, **options)


def shown(kind: type[T]) -> type[T]:
    """A class of results, each one screen of text at a prompt and HTML in a notebook, as RESULTS has it."""

    def text(self: T) -> str:
        return str(import_module(RESULTS).as_text(self))

    def markup(self: T) -> str:
        return str(import_module(RESULTS).as_html(self))

    kind.__repr__ = text  # type: ignore[assignment]
    kind._repr_html_ = markup  # type: ignore[attr-defined]
    return kind
