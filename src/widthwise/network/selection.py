"""How rules name layers: by name, type or regular expression (imports nothing heavy)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Literal

from widthwise.core.errors import UserError, unknown

By = Literal["name", "type", "regex"]
WidthBy = Literal["all", "name", "type", "regex"]
BY: Mapping[str, By] = {"name": "name", "type": "type", "regex": "regex", "regex_name": "regex"}
DEFAULT = "default"  # the rule of what no other names


def by_of(value: object, *, where: str = "", what: str = "way to select layers (by)") -> By:
    """What rules go by; raises UserError for anything else, called `what` there."""
    if not isinstance(value, str) or value not in BY:
        raise unknown(what, value, BY, where=where)
    return BY[value]


def matches(key: str, by: WidthBy, *, names: tuple[str, ...], kind: str) -> bool:
    """Whether a rule's key speaks of a layer of this type with these names, the node's first."""
    if by == "type":
        return key == kind
    if by == "regex":
        return re.fullmatch(key, names[0]) is not None
    return key in names


def check_pattern(key: str, *, where: str) -> None:
    """Raises UserError where the key of a rule is no regular expression."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a later Python may read in another way
            re.compile(key)
    except (re.error, RecursionError, OverflowError) as error:
        raise UserError(f"{where}: {key!r} is no regular expression: {error}") from None
