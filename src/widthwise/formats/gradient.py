"""The gradient of a format: straight through, cut where it saturates. Imports torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from widthwise.formats.base import Format


class Learns(Protocol):
    """A format that is trained itself, with gradients of its own."""

    def learned(self, x: Tensor, /) -> Tensor:
        """x quantised, whether or not a gradient of x is wanted."""
        ...


class _StraightThrough(torch.autograd.Function):
    """fmt.quantize whose derivative is 1 inside the format's range and 0 outside."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, fmt: Format) -> Tensor:
        if any(math.isfinite(bound) for bound in fmt.range):
            ctx.save_for_backward(fmt.inside(x))
        return fmt.quantize(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        return (gradient * ctx.saved_tensors[0] if ctx.saved_tensors else gradient), None


def straight_through(fmt: Format, x: Tensor) -> Tensor:
    """fmt.quantize(x); backward, gradients pass where x lies in the closed range and are zero elsewhere, NaN
    included.

    A format whose range is infinite (its scale follows the data) passes them all. Where no gradient is wanted
    this is fmt.quantize(x) alone. One that is trained itself (`Learns`) has its own.
    Source: Bengio et al. 2013; cut outside the range as in Hubara et al. 2016.
    """
    learned: Callable[[Tensor], Tensor] | None = getattr(fmt, "learned", None)  # isinstance takes long
    if learned is not None and torch.is_grad_enabled():
        return learned(x)
    if torch.is_grad_enabled() and x.requires_grad:
        rounded: Tensor = _StraightThrough.apply(x, fmt)  # type: ignore[no-untyped-call]
        return rounded
    return fmt.quantize(x)
