"""Tensors whose widths are trained: what layers read, and their weights and biases.

Those of all layers lie in one flat tensor each, as a step takes as long as the number of its operations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from widthwise.formats.integer_each import WIDEST, IntegerEach
from widthwise.training.trained_widths.rounding import constant, read, whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

FINEST, COARSEST = 12, -20  # bits behind the point, so that all parts together are a format
LEAST = 2.0**-FINEST

Shape = tuple[int, ...]


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
    """How layers read tensors: bits behind the point and bits before it are trained.

    peaks: of each tensor the greatest magnitude of its parts, against the last axes of a sample, which fits
    at the start. signed: which of them may be below zero. bits: of the part with the greatest, the others
    begin as fine. fraction, whole [R]: bits behind and before the point of all parts, real; bits [R]: of each
    part in all, as `prepare` found them. A part whose bits come to nothing is zero, and values beyond those
    before the point saturate, while it is trained as in the end.
    """

    def __init__(self, peaks: Sequence[Tensor], signed: Sequence[bool], *, bits: int) -> None:
        super().__init__()
        self.shapes, self.signed = [tuple(peak.shape) for peak in peaks], list(signed)
        self.sizes = [math.prod(shape) for shape in self.shapes]
        before = [torch.frexp(peak.clamp_min(LEAST))[1].to(peak.dtype) for peak in peaks]
        behind = [
            torch.full_like(x, bits - float(sign) - float(x.max()))
            for x, sign in zip(before, signed, strict=True)
        ]
        self.sign = torch.cat([torch.full((n,), float(s)) for n, s in zip(self.sizes, signed, strict=True)])
        self.whole = nn.Parameter(_flat(before))
        self.fraction = nn.Parameter(_flat(behind))
        self.prepare()

    def prepare(self) -> None:
        """Finds the widths that there are now, with which tensors are read until the next time."""
        before = whole(self.whole)
        most = (WIDEST - self.sign) - before.detach()
        behind = torch.minimum(self.fraction.clamp(COARSEST, FINEST), most)
        self.bits = (whole(behind) + before + self.sign).clamp_min(0)
        live = (self.bits.detach() > 0).to(behind.dtype)
        self._behind, self._before, self._live = map(self.each, (behind, before, live))

    def widths(self, number: int) -> Tensor:
        """Bits of each part of a tensor; a gradient passes to those of either side where there are any."""
        return self.each(self.bits)[number]

    def forward(self, number: int, x: Tensor) -> Tensor:
        """x as the tensor of this number is read."""
        behind, before, live = self._behind[number], self._before[number], self._live[number]
        return read(x, behind, before, live, signed=self.signed[number])

    def format(self, number: int) -> IntegerEach:
        """The format of what is read."""
        widths, fractions = self.widths(number).detach(), self._behind[number].detach().round()
        return IntegerEach(
            _numbers(widths), _numbers(fractions), self.shapes[number], bool(self.signed[number])
        )

    def each(self, flat: Tensor) -> list[Tensor]:
        """What is flat over all parts, by tensors."""
        return [x.view(shape) for x, shape in zip(torch.split(flat, self.sizes), self.shapes, strict=True)]


class ConstantWidths(nn.Module):
    """Weights and biases whose bits behind the point are trained; those before it follow the values.

    tensors: as they begin. parts: of each the shape of what has bits of its own, which broadcasts against it.
    bits: behind the point of each tensor. value [E]: all values as they are trained, in float; fraction [P]:
    bits behind the point of all parts, real. used, bits [E]: values as they are multiplied by, and at least
    the bits of each one's magnitude, as `prepare` found them. What rounds to nothing is zero.
    """

    def __init__(self, tensors: Sequence[Tensor], parts: Sequence[Shape], bits: Sequence[float]) -> None:
        super().__init__()
        self.shapes = [tuple(tensor.shape) for tensor in tensors]
        self.value = nn.Parameter(_flat([tensor.detach() for tensor in tensors]).clone())
        sizes = [math.prod(each) for each in parts]
        begins = zip(sizes, bits, strict=True)
        self.fraction = nn.Parameter(torch.cat([torch.full((size,), float(n)) for size, n in begins]))
        numbers = [
            x.view(each) for x, each in zip(torch.split(torch.arange(sum(sizes)), sizes), parts, strict=True)
        ]
        self._part = _flat([x.expand(shape) for x, shape in zip(numbers, self.shapes, strict=True)])
        self._alone = sum(sizes) == self.value.numel()
        self.prepare()

    def prepare(self) -> None:
        """Finds the values as they are used now, and their bits."""
        self.used, self.bits = constant(self.value, self._fractions())
        self._used = self.each(self.used)

    def forward(self, number: int) -> Tensor:
        """The tensor of this number as it is multiplied by."""
        return self._used[number]

    def format(self, number: int) -> IntegerEach:
        """The format of its values: of each as many bits as it takes, its sign among them."""
        with torch.no_grad():
            fraction = self.each(self._fractions().round())[number]
            codes = (self._used[number] * torch.exp2(fraction)).double().numpy().astype(np.int64)
        return IntegerEach(
            tuple(_bits(codes).reshape(-1).tolist()), _numbers(fraction), self.shapes[number], True
        )

    def each(self, flat: Tensor) -> list[Tensor]:
        """What is flat over all values, by tensors."""
        sizes = [math.prod(shape) for shape in self.shapes]
        return [x.view(shape) for x, shape in zip(torch.split(flat, sizes), self.shapes, strict=True)]

    def _fractions(self) -> Tensor:
        """Bits behind the point [E] of each value, real, within what is allowed."""
        parts = self.fraction.clamp(COARSEST, FINEST)
        return parts if self._alone else parts[self._part]


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def _bits(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of a two's complement number that holds each code; 0 of zero."""
    magnitude = np.where(codes < 0, -codes - 1, codes).astype(np.float64)
    found = np.frexp(magnitude)[1].astype(np.int64) + 1
    return np.where(codes == 0, 0, found)


def _numbers(x: Tensor) -> tuple[int, ...]:
    return tuple(int(number) for number in x.reshape(-1).tolist())
