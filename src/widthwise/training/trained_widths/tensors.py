"""Tensors whose widths are trained: what a layer reads, and its weights and biases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from widthwise.formats.integer_each import WIDEST, IntegerEach
from widthwise.training.trained_widths.rounding import rounded, whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

FINEST, COARSEST = 12, -20  # bits behind the point, so that all parts together are a format
LEAST = 2.0**-FINEST
PULL = 3.0  # how much more than its due a price pulls at magnitudes


def peak_of(values: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
    """The greatest magnitude [*shape] of each part of tensors [n, ...]; shape: against their last axes."""
    found = []
    for x in values:
        each = x.detach().abs()
        while each.ndim > len(shape):
            each = each.amax(0)
        for axis, size in enumerate(shape):
            if size == 1:
                each = each.amax(axis, keepdim=True)
        found.append(each)
    return torch.stack(found).amax(0)


class ReadWidths(nn.Module):
    """How a layer reads a tensor: bits behind the point and bits before it are trained.

    peak [*shape]: the greatest magnitude of each part, against the last axes of a sample, which fits at the
    start; bits: of the part with the greatest, the others begin as fine. fraction, whole [*shape]: bits
    behind and before the point, real. A part whose bits come to nothing is zero, and values beyond those
    before the point saturate, while it is trained as in the end.
    """

    def __init__(self, peak: Tensor, *, signed: bool, bits: int) -> None:
        super().__init__()
        self.shape, self.signed = tuple(peak.shape), signed
        before = torch.frexp(peak.clamp_min(LEAST))[1].to(peak.dtype)
        self.whole = nn.Parameter(before)
        self.fraction = nn.Parameter(torch.full_like(before, bits - float(signed) - float(before.max())))

    def fractions(self) -> Tensor:
        """Bits behind the point [*shape], real, within what is allowed."""
        most = float(WIDEST - self.signed) - self.whole_bits.detach()
        return torch.minimum(self.fraction.clamp(COARSEST, FINEST), most)

    @property
    def whole_bits(self) -> Tensor:
        """Bits before the point [*shape]; gradients pass straight through."""
        return whole(self.whole)

    def widths(self) -> Tensor:
        """Bits of each part [*shape]; a gradient passes to those of either side where there are any."""
        total = whole(self.fractions()) + self.whole_bits + float(self.signed)
        return total.clamp_min(0)

    def forward(self, x: Tensor) -> Tensor:
        """x as it is read."""
        fraction = self.fractions()
        live = (self.widths().detach() > 0).to(x.dtype)
        top = torch.exp2(self.whole_bits)
        high = (top - torch.exp2(-fraction.detach().round())) * live
        low = -top * live if self.signed else torch.zeros_like(live)
        return rounded(x, fraction, low, high)

    def format(self) -> IntegerEach:
        """The format of what is read."""
        widths = self.widths().detach()
        fractions = self.fractions().detach().round()
        return IntegerEach(_numbers(widths), _numbers(fractions), self.shape, self.signed)


class ConstantWidths(nn.Module):
    """Weights or biases whose bits behind the point are trained; those before it follow the value.

    value: as it is trained, in float. parts: the shape of what has bits of its own, which broadcasts against
    it. What rounds to nothing is zero.
    """

    def __init__(self, value: Tensor, parts: Sequence[int], *, bits: float) -> None:
        super().__init__()
        self.value = nn.Parameter(value.detach().clone())
        self.fraction = nn.Parameter(torch.full(tuple(parts), float(bits)))

    def fractions(self) -> Tensor:
        """Bits behind the point [*parts], real, within what is allowed."""
        return self.fraction.clamp(COARSEST, FINEST)

    def forward(self) -> Tensor:
        """The values as they are multiplied by."""
        fraction = self.fractions()
        top = torch.exp2(float(WIDEST - 1) - fraction.detach().round())
        return rounded(self.value, fraction, -top, top - torch.exp2(-fraction.detach().round()))

    def widths(self, used: Tensor) -> Tensor:
        """At least the bits of each value's magnitude, log2(code) + 1, and 0 for those that are zero.

        used: as `forward` gave it. A gradient passes to the bits behind the point of what is not zero, and
        to its value, as that of PULL log2(code + 1).
        """
        fraction, magnitude = whole(self.fractions()), used.detach().abs()
        live = (magnitude > 0).to(magnitude.dtype)
        pulled = PULL * torch.log2(self.value.abs() * torch.exp2(fraction.detach()) + 1)
        bits = torch.log2(magnitude.clamp_min(2.0**-126)) + fraction + 1
        return (bits + (pulled - pulled.detach())) * live

    def format(self) -> IntegerEach:
        """The format of the values: of each as many bits as it takes, its sign among them."""
        with torch.no_grad():
            fraction = self.fractions().round()
            codes = (self.forward() * torch.exp2(fraction)).double().numpy().astype(np.int64)
        fractions = fraction.expand(self.value.shape)
        return IntegerEach(
            tuple(_bits(codes).reshape(-1).tolist()), _numbers(fractions), tuple(self.value.shape), True
        )


def _bits(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of a two's complement number that holds each code; 0 of zero."""
    magnitude = np.where(codes < 0, -codes - 1, codes).astype(np.float64)
    found = np.frexp(magnitude)[1].astype(np.int64) + 1
    return np.where(codes == 0, 0, found)


def _numbers(x: Tensor) -> tuple[int, ...]:
    return tuple(int(number) for number in x.reshape(-1).tolist())
