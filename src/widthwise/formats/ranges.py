"""Words for how far a range that follows the data reaches: to all values, to a share of them, by least error.

Written in place of a frac width or a scale: "auto", "auto-mse", "auto-99.9" (or any share in a hundred).
"""

from __future__ import annotations

import re
from fractions import Fraction

from widthwise.core.errors import nearest
from widthwise.formats.base import wrong

AUTO, LEAST_ERROR = "auto", "auto-mse"
LEAST_SHARE = 50  # in a hundred, that may be kept
ALLOWED = (AUTO, LEAST_ERROR, f'"auto-99.9" or any share from {LEAST_SHARE} to below 100')

_SHARE = re.compile(r"auto-(\d{2}(?:\.\d{1,12})?)")


def checked_word(format_name: str, key: str, value: str, *, also: str) -> str:
    """The word as it is written; UserError for any other. also: what else the key takes."""
    if value in (AUTO, LEAST_ERROR):
        return value
    match = _SHARE.fullmatch(value)
    if match is None or Fraction(match[1]) < LEAST_SHARE:
        near = nearest(value, (AUTO, LEAST_ERROR))
        raise wrong(format_name, key, value, near=near, allowed=(also, *ALLOWED))
    whole, _, rest = match[1].partition(".")
    rest = rest.rstrip("0")
    return f"auto-{whole}.{rest}" if rest else f"auto-{whole}"


def is_share(word: object) -> bool:
    """Whether it is one of the words for a share of the values."""
    return isinstance(word, str) and _SHARE.fullmatch(word) is not None


def left_out(word: str, count: int, ends: int = 1) -> int:
    """How many of so many values may lie beyond a range that reaches to a share of them.

    ends: among how many ends they are divided: each may have so many beyond it.
    """
    share = Fraction(word.removeprefix("auto-")) / 100
    return int(count * (1 - share) / ends)
