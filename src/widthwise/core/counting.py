"""Counts as people read them, however large."""

from __future__ import annotations

import math

EXACT = 10**12  # counts below are written out


def count_text(count: int) -> str:
    """`104,976`, or `4.2e361` where nobody counts digits any more."""
    if abs(count) < EXACT:
        return f"{count:,}"
    exponent = math.floor(math.log10(count))
    mantissa = f"{10 ** (math.log10(count) - exponent):.1f}"
    return f"1.0e{exponent + 1}" if mantissa == "10.0" else f"{mantissa}e{exponent}"
