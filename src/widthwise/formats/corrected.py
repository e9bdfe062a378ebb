"""Formats of biases that make up for how the weights of their layer are rounded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from widthwise.formats.base import Format
from widthwise.formats.notation import Notation

if TYPE_CHECKING:
    from torch import Tensor

FLOAT_BITS = 32


@dataclass(frozen=True, repr=False)
class Corrected(Format):
    """A format of a bias to which something is added before it is rounded.

    of: the format; None is float, to which only is added. weight: the format of the layer's weight whose
    rounding is made up for, until that is found. shift: what is added to each element, once it is.

    No config names it: it is what a search that corrects biases makes of the formats that it is given, one
    for each pair of a weight's and a bias's, and it counts as much as the format that it is of.
    Source: Nagel et al. 2019, Data-free quantization, section 4.2.
    """

    names: ClassVar[tuple[str, ...]] = ("corrected",)
    notation: ClassVar[Notation] = Notation("corrected")

    of: Format | None
    weight: Format | None = None
    shift: tuple[float, ...] = ()

    def __repr__(self) -> str:
        return "float" if self.of is None else repr(self.of)

    @property
    def elementwise(self) -> bool:
        return not self.shift and (self.of is None or self.of.elementwise)

    @property
    def bits(self) -> float:
        return float(FLOAT_BITS) if self.of is None else self.of.bits

    @property
    def range(self) -> tuple[float, float]:
        return (-math.inf, math.inf) if self.of is None else self.of.range

    def storage_bits(self, shape: Sequence[int]) -> int:
        return FLOAT_BITS * math.prod(shape) if self.of is None else self.of.storage_bits(shape)

    def moved(self, x: Tensor) -> Tensor:
        """x with what is added, of its dtype."""
        return x + x.new_tensor(self.shift).reshape(x.shape) if self.shift else x

    def quantize(self, x: Tensor) -> Tensor:
        moved = self.moved(x)
        return moved if self.of is None else self.of.quantize(moved)

    def calibrated(self, x: Tensor) -> Corrected:
        """By what comes out of the correction, so not before that is found."""
        if self.weight is not None or self.of is None:
            return self
        return Corrected(self.of.calibrated(self.moved(x)), None, self.shift)

    def inside(self, x: Tensor) -> Tensor:
        return super().inside(x) if self.of is None else self.of.inside(self.moved(x))

    def clipped(self, x: Tensor) -> Tensor:
        return super().clipped(x) if self.of is None else self.of.clipped(self.moved(x))


def uncorrected(fmt: Format | None) -> Format | None:
    """The format that a corrected one is of; any other itself."""
    return fmt.of if isinstance(fmt, Corrected) else fmt
