"""Errors for the person who reads them: what was found, where, what is allowed, what to do."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Sequence
from typing import Self

from widthwise.core.plain import plain

# what reading a file that was made for us raises where somebody or something has changed it
BROKEN = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, OSError)
LISTED = 8  # places of which the same is said


class UserError(ValueError):
    """Something that the user can mend; its text is one line and the command line prints nothing else.

    found: what is wrong. where: the place that it stands in, as `lab3.toml: search.seed`.
    key: the parameter that is to blame, for whoever knows where that was written; not part of the text.
    near: what was probably meant. allowed: all that could stand there. advice: what to do.
    """

    def __init__(
        self,
        found: str,
        *,
        where: str = "",
        key: str = "",
        near: str | None = None,
        allowed: Iterable[object] = (),
        advice: str = "",
    ) -> None:
        super().__init__(found)
        self.found, self.key, self.near, self.advice = found, key, near, advice
        self.where = (where,) if where else ()  # the outermost place first
        self.allowed = tuple(allowed)

    def at(self, place: str) -> Self:
        """The same error with a place around it; an empty one changes nothing."""
        made = copy.copy(self)
        made.where = (place, *self.where) if place else self.where
        return made

    def __str__(self) -> str:
        allowed = f"allowed: {', '.join(map(str, self.allowed))}" if self.allowed else ""
        mend = "; ".join(filter(None, (allowed, self.advice)))
        if self.near:
            mend = f"did you mean {self.near}? {mend}".rstrip()
        text = ": ".join((*self.where, f"{self.found}; {mend}" if mend else self.found))
        return plain(text)


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """The allowed name most like `name`, or None where nothing is alike."""
    matches = difflib.get_close_matches(name.lower(), list(allowed), n=1, cutoff=0.5)
    return matches[0] if matches else None


def unknown(kind: str, name: object, allowed: Iterable[str], *, where: str = "") -> UserError:
    """`name` is no known `kind`: the error says where it stood, the nearest right name and all allowed."""
    allowed = sorted(allowed)
    return UserError(
        f"no {kind} named {name!r}", where=where, near=nearest(str(name), allowed), allowed=allowed or [""]
    )


def said_once(reasons: Iterable[str]) -> str:
    """Reasons such as `conv1: is a gelu; take a relu` as one line, each thing said once.

    The places of which the same is said are listed before it; what to do, behind the last semicolon, stands
    once behind all that it is of.
    """
    groups: dict[str, dict[str, list[str]]] = {}
    for reason in dict.fromkeys(reasons):
        found, _, advice = reason.rpartition("; ") if "; " in reason else (reason, "", "")
        place, colon, what = found.partition(": ")
        places = groups.setdefault(advice, {}).setdefault(what if colon else found, [])
        places.extend([place] if colon else [])
    return "; ".join(
        "; ".join([*(f"{_places(places)}{what}" for what, places in said.items()), *filter(None, [advice])])
        for advice, said in groups.items()
    )


def _places(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{', '.join(names[:LISTED])}{more}: " if names else ""
