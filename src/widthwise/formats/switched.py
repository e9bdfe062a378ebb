"""A format that stands for one of several, so that a network computes with any scheme. Imports torch."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from widthwise.formats.base import Format
from widthwise.formats.gradient import straight_through

FLOAT_BITS = 32


@dataclass
class Current:
    """What a switched format is for the time being; None: float."""

    fmt: Format | None


@dataclass(frozen=True, repr=False, eq=False)
class Switched(Format):
    """The format that `current` holds, whose rounding, range and gradient it has.

    Only for training: outside it, what a layer keeps of a stored tensor in a format would be that of another.
    """

    current: Current

    def __repr__(self) -> str:
        return repr(self.now)

    @property
    def now(self) -> Format | None:
        """What it is for the time being; None: float."""
        return self.current.fmt

    @property
    def bits(self) -> float:
        return FLOAT_BITS if self.now is None else self.now.bits

    @property
    def range(self) -> tuple[float, float]:
        return (-float("inf"), float("inf")) if self.now is None else self.now.range

    def quantize(self, x: Tensor) -> Tensor:
        return x.clone() if self.now is None else self.now.quantize(x)

    def learned(self, x: Tensor) -> Tensor:
        """x quantised; its gradient passes straight through where nothing saturates."""
        return x if self.now is None else straight_through(self.now, x)
