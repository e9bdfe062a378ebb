"""Values as whole numbers times one power of two, where they are such."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

WIDEST = 53  # bits of a whole number that a float64 holds


def on_grid(x: Tensor, fraction: int | None = None) -> tuple[NDArray[np.int64], int] | None:
    """(codes, fraction) with x = codes * 2^-fraction exactly, codes in x's shape; None where x has none.

    fraction: the bits behind the point, by default as few as do. None too for codes of more than WIDEST bits,
    and for infinities and NaN.
    """
    values = x.detach().cpu().double().numpy()
    if not np.isfinite(values).all():
        return None
    if fraction is None:
        fraction = _least_fraction(values)
    codes = np.ldexp(values, fraction)
    if np.abs(codes).max(initial=0.0) >= 2.0**WIDEST or (codes != np.rint(codes)).any():
        return None
    return codes.astype(np.int64), fraction


def _least_fraction(values: NDArray[np.float64]) -> int:
    """The fewest bits behind the point with which all values are whole; 0 where all are zero."""
    significands, exponents = np.frexp(values[values != 0])
    whole = np.ldexp(significands, WIDEST).astype(np.int64)  # exactly: a float64 has as many bits
    zeros = np.frexp((whole & -whole).astype(np.float64))[1] - 1  # behind the last bit that is set
    return int((WIDEST - exponents - zeros).max(initial=-(2**31))) if len(whole) else 0
