"""A number format: whole multiples of a third."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from widthwise.formats.base import Format, check_integer, parameter
from widthwise.formats.notation import Notation


@dataclass(frozen=True, repr=False)
class Thirds(Format):
    """Multiples of 1/3 from -most to most; rounds half to even, saturates."""

    names: ClassVar[tuple[str, ...]] = ("thirds",)
    notation: ClassVar[Notation] = Notation("thirds", ("most",))

    most: int = parameter("the greatest whole number", 4)

    def __post_init__(self) -> None:
        check_integer("thirds", "most", self.most, 1, 1000)

    def quantize(self, x: Tensor) -> Tensor:
        """Nearest multiples; same shape and dtype as x."""
        return ((x * 3).round() / 3).clamp(-self.most, self.most)

    @property
    def bits(self) -> float:
        """Of a code: all multiples of both signs, and zero."""
        return float((6 * self.most).bit_length())

    @property
    def range(self) -> tuple[float, float]:
        """The least and the greatest value."""
        return -float(self.most), float(self.most)
