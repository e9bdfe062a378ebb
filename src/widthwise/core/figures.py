"""Figures as people read them: as many digits as tell something, whatever their size."""

from __future__ import annotations

import math


def shown_figure(value: float, places: int = 3) -> str:
    """0.754, 0.00041, 838.079, 6,099.7, 431,204, 3.127e10, NaN, infinite.

    With `places` behind the point, from what these can show to 1,000; smaller ones with two digits, larger
    ones with five or more, from ten million on with four and a power of ten.
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinite" if value > 0 else "-infinite"
    size = abs(value)
    if size >= 1e7:
        return _with_power(f"{value:.3e}")
    if size >= 1e3:
        return f"{value:,.0f}" if size >= 1e5 else f"{value:,.1f}"
    if 0 < size < 10.0**-places:
        return _with_power(f"{value:.2g}")
    return f"{value:.{places}f}"


def _with_power(text: str) -> str:
    """2.5e-05 as 2.5e-5."""
    digits, power, exponent = text.partition("e")
    return f"{digits}e{int(exponent)}" if power else digits
