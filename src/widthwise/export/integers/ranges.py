"""Between which codes each number of a value lies, by those of what it is computed from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from widthwise.export.integers.computing import computed
from widthwise.export.integers.steps import Codes, Convolution, Linear, Scale, Step


def range_after(step: Step, low: Codes, high: Codes, shape: tuple[int, ...]) -> tuple[Codes, Codes]:
    """The least and greatest codes [*shape] of what a step of one value gives for those of that value.

    Each number for itself: what numbers have to do with one another is not seen, so no range is too narrow.
    """
    if not isinstance(step, Linear | Convolution | Scale):  # the others keep the order
        return computed(step, low[None], shape)[0], computed(step, high[None], shape)[0]
    rising = replace(step, weight=np.maximum(step.weight, 0))
    falling = replace(step, weight=np.minimum(step.weight, 0), bias=np.zeros_like(step.bias))
    return (
        (computed(rising, low[None], shape) + computed(falling, high[None], shape))[0],
        (computed(rising, high[None], shape) + computed(falling, low[None], shape))[0],
    )


def in_whole_bits(low: Codes, high: Codes) -> tuple[Codes, Codes]:
    """Ranges that hold these and 0, each end as far out as its bits reach: few are then different."""
    below = np.where(low < 0, -(1 << _bits(-low - 1)), 0)
    above = np.where(high > 0, (1 << _bits(high)) - 1, 0)
    return below, above


def _bits(codes: Codes) -> Codes:
    """Of whole numbers from 0; 0 for others."""
    found: Codes = np.frexp(np.maximum(codes, 0).astype(np.float64))[1].astype(np.int64)
    return found
