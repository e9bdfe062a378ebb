"""Rounding whose number of bits is trained: the gradient of a width is what a bit more would change.

Each is one function with its gradient, as many small steps would cost more than what they compute.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from widthwise.formats.integer_each import WIDEST

LN2 = math.log(2)
PULL = 3.0  # how much more than its due a price pulls at magnitudes
GREATEST = 2.0 ** (WIDEST - 1)  # codes are below, and from its negative


class _Read(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, f: Tensor, before: Tensor, live: Tensor, signed: bool) -> Tensor:
        scale, top = torch.exp2(f.round()), torch.exp2(before) * live
        nearest = (x * scale).round_().div_(scale)
        high = top - live / scale
        found = torch.minimum(nearest, high)
        found = torch.maximum(found, -top) if signed else found.clamp_min_(0)
        beyond = torch.sign(nearest - found)
        ctx.save_for_backward((x - nearest).masked_fill_(beyond != 0, 0.0), beyond, top)
        ctx.signed = signed
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        error, beyond, top = ctx.saved_tensors
        of_x = gradient.masked_fill(beyond != 0, 0.0) if ctx.needs_input_grad[0] else None
        of_f = LN2 * (gradient * error).sum_to_size(top.shape)
        moved = beyond if ctx.signed else beyond.clamp_min(0)
        of_before = LN2 * top * (gradient * moved).sum_to_size(top.shape)
        return of_x, of_f, of_before, None, None


def read(x: Tensor, f: Tensor, before: Tensor, live: Tensor, *, signed: bool) -> Tensor:
    """x rounded, halves to even, to multiples of 2^-round(f), and cut to what its bits before the point hold.

    f, before, live: bits behind and before the point, the latter whole, and 1 where there are any, else 0,
    which makes zeros; they broadcast to x. Gradients pass straight through to x where it is not cut, and
    where it is to the limit, which 2^before moves. That of f is the gradient of the result times ln 2 times
    the rounding error x - result, as if the error, which shrinks as 2^-f, kept its sign: what a width costs
    the loss. Source: Sun et al. 2024, HGQ (arXiv 2405.00645), section III.
    """
    found: Tensor = _Read.apply(x, f, before, live, signed)  # type: ignore[no-untyped-call]
    return found


class _Constant(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, f: Tensor) -> tuple[Tensor, Tensor]:
        scale = torch.exp2(f.round())
        nearest = (x * scale).round_()
        code = nearest.clamp(-GREATEST, GREATEST - 1)
        found, magnitude = code / scale, code.abs()
        live = code != 0
        bits = torch.where(live, torch.log2(magnitude.clamp_min(1.0)) + 1, 0.0)
        pull = torch.sign(code) * scale * (PULL / LN2) / (magnitude + 1)
        ctx.save_for_backward(x - found, code == nearest, live, pull)
        return found, bits

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        of_found, of_bits = gradients
        error, whole, live, pull = ctx.saved_tensors
        of_found = of_found * whole
        return of_found + of_bits * pull, LN2 * of_found * error + of_bits * live


def constant(x: Tensor, f: Tensor) -> tuple[Tensor, Tensor]:
    """x rounded, halves to even, to multiples of 2^-round(f), of the same shape, and the bits of each.

    Bits are at least those of its magnitude's code, log2(code) + 1, and 0 for what is zero. Gradients of the
    values are as of `read`; of bits they pass to f of what is not zero, and to x as that of
    PULL log2(code + 1).
    """
    found: tuple[Tensor, Tensor] = _Constant.apply(x, f)  # type: ignore[no-untyped-call]
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
