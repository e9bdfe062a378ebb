"""How a study is looked at: the room of reports stands above this one, and is loaded when it is asked."""

from __future__ import annotations

from importlib import import_module
from typing import Any

NOTEBOOK = "widthwise.report.notebook"


def looked_at(how: str, *args: Any, **options: Any) -> Any:
    """What the function `how` of NOTEBOOK gives."""
    return getattr(import_module(NOTEBOOK), how)(*args, **options)
