"""Rounding whose number of bits is trained: the gradient of a width is what a bit more would change."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

LN2 = math.log(2)


class _Rounded(torch.autograd.Function):
    """x to the nearest multiple of 2^-round(f), halves to even, between low and high."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, f: Tensor, low: Tensor, high: Tensor) -> Tensor:
        step = torch.exp2(-f.round())
        nearest = (x / step).round_().mul_(step)
        found = torch.minimum(torch.maximum(nearest, low), high)
        under, over = nearest < low, nearest > high
        ctx.save_for_backward((x - nearest).masked_fill_(under | over, 0.0), under, over)
        ctx.shapes = f.shape, low.shape, high.shape
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        error, under, over = ctx.saved_tensors
        of_f, of_low, of_high = ctx.shapes
        return (
            gradient.masked_fill(under | over, 0.0),
            LN2 * (gradient * error).sum_to_size(of_f),
            (gradient * under).sum_to_size(of_low) if ctx.needs_input_grad[2] else None,
            (gradient * over).sum_to_size(of_high) if ctx.needs_input_grad[3] else None,
        )


def rounded(x: Tensor, f: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """x rounded, halves to even, to multiples of 2^-round(f), and cut to [low, high]; all broadcast to x.

    Gradients pass straight through to x where it is not cut, and to low and high where it is. That of f is
    the gradient of the result times ln 2 times the rounding error x - result, as if the error, which shrinks
    as 2^-f, kept its sign: what a width costs the loss. Source: Sun et al. 2024, HGQ (arXiv 2405.00645),
    section III.
    """
    found: Tensor = _Rounded.apply(x, f, low, high)  # type: ignore[no-untyped-call]
    return found


class _Whole(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def whole(x: Tensor) -> Tensor:
    """x rounded to whole numbers; gradients pass straight through."""
    found: Tensor = _Whole.apply(x)  # type: ignore[no-untyped-call]
    return found
