"""Formats whose step is trained: what a format computes with, and the gradient of its step. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log
from typing import Any

import torch
from torch import Tensor, nn

from widthwise.formats.base import Format
from widthwise.formats.integer import LIMIT, Integer
from widthwise.formats.scaled import ScaledInteger
from widthwise.formats.tiling import Tiling, channels

LN2 = log(2)


@dataclass(frozen=True, repr=False, eq=False)
class LearnedStep(Format):
    """A format of fixed steps while these are trained.

    fmt: as it began. growth: the logarithm to base 2 of what each part's step has grown by since [parts], a
    parameter. Fixed point has the power of two that is nearest. What it quantises to is what `now` does, to
    the bit.
    """

    fmt: Integer | ScaledInteger
    growth: nn.Parameter

    def __repr__(self) -> str:
        return repr(self.now)

    @classmethod
    def of(cls, fmt: Format | None) -> LearnedStep | None:
        """A format with a step to train; None where it has none that is a fixed number."""
        if isinstance(fmt, Integer) and not fmt.is_auto:
            return cls(fmt, nn.Parameter(torch.zeros(1)))
        if isinstance(fmt, ScaledInteger) and isinstance(fmt.scale, tuple) and fmt.per != "group":
            return cls(fmt, nn.Parameter(torch.zeros(len(fmt.scale))))
        return None

    @property
    def now(self) -> Integer | ScaledInteger:
        """The format with its steps as they are now."""
        grown = self.growth.detach().double()
        if isinstance(self.fmt, Integer):
            fraction = self.fmt.fraction - round(float(grown))
            return replace(self.fmt, frac_width=max(-LIMIT, min(LIMIT, fraction)))
        steps = torch.tensor(self.fmt.scale, dtype=torch.float64) * grown.cpu().exp2()
        return replace(self.fmt, scale=tuple(steps.tolist()))

    @property
    def bits(self) -> float:
        return self.fmt.bits

    @property
    def range(self) -> tuple[float, float]:
        return self.now.range

    def quantize(self, x: Tensor) -> Tensor:
        return self.now.quantize(x)

    def tiling(self, x: Tensor) -> Tiling:
        """The parts of a tensor that have steps of their own."""
        return channels(x.shape, None) if isinstance(self.fmt, Integer) else self.fmt.tiling(x.shape)

    def learned(self, x: Tensor) -> Tensor:
        """x quantised, with gradients for x and for the steps.

        x's passes straight through where it does not saturate. A step's is, by Esser et al. 2020 (LSQ,
        equation 3), the sum over its values v = x / step of round(v) - v inside and of the bound outside,
        times the gradient of the result, over sqrt(values * greatest code); of its logarithm (Jain et al.
        2020, TQT) it is that times step * ln 2. A power of two is rounded to straight through.
        """
        found: Tensor = _Learned.apply(x, self.growth, self)  # type: ignore[no-untyped-call]
        return found


class _Learned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, growth: Tensor, learned: LearnedStep) -> Tensor:
        fmt = learned.now
        quantised = fmt.quantize(x)
        ctx.save_for_backward(x, quantised, fmt.inside(x))
        ctx.learned = learned
        return quantised

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (gradient,) = gradients
        x, quantised, inside = ctx.saved_tensors
        learned: LearnedStep = ctx.learned
        tiles = learned.tiling(x)
        # times the step already: of the logarithm it cancels the one that v is divided by
        each = tiles.split(gradient * (quantised - x * inside)).double()
        summed = each.sum(tiles.within) if tiles.within else each
        values = x.numel() / max(tiles.blocks, 1)
        scale = (values * learned.fmt.codes[1]) ** -0.5
        of_log = summed.reshape(-1).sum_to_size(learned.growth.shape) * (scale * LN2)
        return gradient * inside, of_log.to(learned.growth), None
