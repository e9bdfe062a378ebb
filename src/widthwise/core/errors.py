"""Errors for the person who reads them: what was found, where, what is allowed, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Something that the user can mend; its text is one line and the command line prints nothing else."""


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """The allowed name most like `name`, or None where nothing is alike."""
    matches = difflib.get_close_matches(name.lower(), list(allowed), n=1, cutoff=0.5)
    return matches[0] if matches else None


def unknown(kind: str, name: object, allowed: Iterable[str], *, where: str = "") -> UserError:
    """`name` is no known `kind`: the error says where it stood, the nearest right name and all allowed."""
    allowed = sorted(allowed)
    close = nearest(str(name), allowed)
    hint = f"did you mean {close}? " if close else ""
    place = f"{where}: " if where else ""
    return UserError(f"{place}no {kind} named {name!r}; {hint}allowed: {', '.join(allowed)}")
