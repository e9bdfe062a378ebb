"""What a format does to a given tensor: range, clipping, signal-to-noise ratio. Imports torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from widthwise.formats.base import Format
from widthwise.formats.exact import working


@dataclass(frozen=True)
class TensorStatistics:
    """A tensor before and after a format; NaN and infinities are counted in `not_finite` and left out of the
    rest.

    `clipped` is the share of elements beyond the greatest value that the format (its scale for this tensor,
    or their block) allows. `snr_db` is 10 log10 of the sum of squares over the sum of squared errors:
    infinite without error. An empty tensor has NaN as least and greatest value.
    """

    minimum: float
    maximum: float
    clipped: float
    snr_db: float
    mse: float
    elements: int
    not_finite: int


def statistics(fmt: Format, x: Tensor) -> TensorStatistics:
    """How well the format represents x, computed in float64."""
    exact = working(x, double=True)
    finite = exact.isfinite()
    kept = exact[finite]
    count, elements = kept.numel(), x.numel()
    if count == 0:
        return TensorStatistics(math.nan, math.nan, 0.0, math.inf, 0.0, elements, elements)
    errors = working(fmt.quantize(x), double=True)[finite] - kept
    noise, signal = float(errors.square().sum()), float(kept.square().sum())
    return TensorStatistics(
        minimum=float(kept.min()),
        maximum=float(kept.max()),
        clipped=float(fmt.clipped(x)[finite].sum()) / count,
        snr_db=_decibels(signal, noise),
        mse=noise / count,
        elements=elements,
        not_finite=elements - count,
    )


def _decibels(signal: float, noise: float) -> float:
    if noise == 0.0:
        return math.inf
    return -math.inf if signal == 0.0 else 10 * math.log10(signal / noise)
