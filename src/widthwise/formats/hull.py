"""The plain fixed point that holds all values of a format."""

from __future__ import annotations

from widthwise.formats.base import Format
from widthwise.formats.corrected import uncorrected
from widthwise.formats.integer import Integer
from widthwise.formats.integer_each import IntegerEach


def hull_of(fmt: Format | None) -> Integer | None:
    """Of fixed point itself, of parts with widths of their own the one that holds all; None of other formats,
    and where it follows the data. Where a step is trained, as it is now."""
    fmt = _now(fmt)
    if isinstance(fmt, IntegerEach):
        return fmt.hull
    return fmt if isinstance(fmt, Integer) and not fmt.is_auto else None


def is_fixed_point(fmt: Format | None) -> bool:
    """Whether all values lie on one binary grid, which may follow the data."""
    return isinstance(_now(fmt), Integer | IntegerEach)


def _now(fmt: Format | None) -> Format | None:
    found: Format | None = getattr(fmt, "now", uncorrected(fmt))
    return found
