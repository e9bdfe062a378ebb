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
FADING = 0.999  # by which the greatest magnitude that was met shrinks each step
LEAST = 2.0**-FINEST


class ReadWidths(nn.Module):
    """How a layer reads a tensor: bits behind the point are trained, those before it follow the data.

    shape: of the parts, against the last axes of a sample. fraction [*shape]: bits behind the point, real.
    peak [*shape]: the greatest magnitude that was met of late. A part whose bits come to nothing is zero, and
    values beyond those before the point saturate, while it is trained as in the end.
    """

    peak: Tensor

    def __init__(self, shape: Sequence[int], *, signed: bool, bits: float) -> None:
        super().__init__()
        self.shape, self.signed = tuple(shape), signed
        self.fraction = nn.Parameter(torch.full(self.shape, float(bits)))
        self.register_buffer("peak", torch.zeros(self.shape))

    def observe(self, x: Tensor) -> None:
        """Takes in the magnitudes of values [n, ...]."""
        found = x.detach().abs()
        while found.ndim > len(self.shape):
            found = found.amax(0)
        for axis, size in enumerate(self.shape):
            if size == 1:
                found = found.amax(axis, keepdim=True)
        self.peak.mul_(FADING).copy_(torch.maximum(self.peak, found))

    def begin(self, bits: int) -> None:
        """Every part as fine as so many bits make the one of the greatest magnitude that was met."""
        fraction = bits - float(self.signed) - float(self.whole_bits.max())
        with torch.no_grad():
            self.fraction.fill_(fraction)

    def fractions(self) -> Tensor:
        """Bits behind the point [*shape], real, within what is allowed."""
        most = float(WIDEST - self.signed) - self.whole_bits
        return torch.minimum(self.fraction.clamp(COARSEST, FINEST), most)

    @property
    def whole_bits(self) -> Tensor:
        """Bits before the point, so that all that was met of late fits."""
        return torch.frexp(self.peak.clamp_min(LEAST))[1].to(self.fraction.dtype)

    def widths(self) -> Tensor:
        """Bits of each part [*shape]; a gradient passes to bits behind the point where there are any."""
        total = whole(self.fractions()) + self.whole_bits + float(self.signed)
        return total.clamp_min(0)

    def forward(self, x: Tensor) -> Tensor:
        """x as it is read."""
        if self.training:
            self.observe(x)
        fraction = self.fractions()
        live = (self.widths().detach() > 0).to(x.dtype)
        top = torch.exp2(self.whole_bits)
        high = (top - torch.exp2(-fraction.detach().round())) * live
        low = -top * live if self.signed else torch.zeros_like(top)
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

        used: as `forward` gave it. A gradient passes to the bits behind the point of what is not zero.
        """
        magnitude = used.detach().abs()
        live = (magnitude > 0).to(magnitude.dtype)
        return (torch.log2(magnitude.clamp_min(2.0**-126)) + whole(self.fractions()) + 1) * live

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
