"""Minifloats: sign, exponent and mantissa in few bits, with and without an implicit leading one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from widthwise.core.errors import UserError
from widthwise.formats.base import Format, check_flag, check_integer, parameter, wrong
from widthwise.formats.bias import bias_or_usual, checked_bias
from widthwise.formats.exact import exceeds, float_grid_, held, needs_double, working
from widthwise.formats.notation import Notation

if TYPE_CHECKING:
    from torch import Tensor


BIASES = (-64, 383)  # the least and the greatest exponent_bias


@dataclass(frozen=True)
class Grid:
    """A symmetric set of floats: `fraction_bits` behind the leading bit, even steps below 2^min_exponent, up
    to `high`.

    `overflow` is the magnitude of what lies beyond: infinity, NaN, or None where the set saturates.
    """

    fraction_bits: int
    min_exponent: int
    high: float
    overflow: float | None = None

    @property
    def least_step(self) -> float:
        """The distance between values below 2^min_exponent, which is the least positive value."""
        return 2.0 ** (self.min_exponent - self.fraction_bits)

    def quantize(self, x: Tensor) -> Tensor:
        """Nearest values of the set, half to even; NaN stays NaN."""
        y = working(x, double=needs_double(self.min_exponent, self.fraction_bits))
        if self.overflow is not None:
            return self._overflowing(y, self.overflow).to(x.dtype)
        high = held(self.high, x.dtype, step=self.least_step, digits=self.fraction_bits + 1)
        return self.round_(y.clamp(-high, high)).to(x.dtype)

    def round_(self, y: Tensor) -> Tensor:
        """Rounds y, which lies in [-high, high], in place."""
        return float_grid_(y, fraction_bits=self.fraction_bits, min_exponent=self.min_exponent)

    def _overflowing(self, y: Tensor, overflow: float) -> Tensor:
        """Nearest values, but `overflow` for what would be rounded to the value after `high` or beyond."""
        import torch

        step = max(2.0 ** (math.frexp(self.high)[1] - 1 - self.fraction_bits), self.least_step)
        after = self.high + step
        top = min(
            after, torch.finfo(y.dtype).max
        )  # where `after` is none of the dtype's, top rounds to infinity
        rounded = self.round_(y.clamp(-top, top))
        rounded.div_(
            exceeds(-rounded.abs(), -after)
        )  # by 0, to infinity, where |rounded| >= after; else by 1
        return rounded if math.isinf(overflow) else rounded.add_(rounded * 0.0)


def _check_widths(name: str, width: int, exponent_width: int, least_mantissa: int) -> None:
    check_integer(name, "width", width, 2 + least_mantissa, 32)
    check_integer(name, "exponent_width", exponent_width, 1, min(8, width - 1 - least_mantissa))


@dataclass(frozen=True, repr=False)
class MinifloatIEEE(Format):
    """IEEE-style minifloat: 1 sign bit, `exponent_width` bits, the rest mantissa behind an implicit one;
    subnormals.

    Value set: +-2^(E - bias) * (1 + M/2^m) for E > 0, +-2^(1 - bias) * M/2^m for E = 0, m = width -
    exponent_width - 1. The bias is 2^(exponent_width-1) - 1 if not given. As in the lab's system the greatest
    exponent holds ordinary values; with `infinities` it is kept for infinities and NaN. Rounds half to even.
    Saturates, infinities too, unless `saturating` is off (which needs `infinities`): then overflow gives
    infinity. NaN stays NaN, zero keeps its sign.
    Source: IEEE 754-2019 section 3.4 for the encoding; every value is exact, with no offsets near zero.
    """

    names: ClassVar[tuple[str, ...]] = ("minifloat_ieee", "minifloat")
    typical: ClassVar[Mapping[str, Any]] = {"width": 8, "exponent_width": 4}
    notation: ClassVar[Notation] = Notation(
        "minifloat",
        ("width", "exponent_width"),
        words={"inf": ("infinities", True), "overflowing": ("saturating", False)},
        keys={"bias": "exponent_bias"},
    )

    width: int = parameter("bits of a value, 2 to 32")
    exponent_width: int = parameter("bits of the exponent, 1 to 8 and below the width")
    exponent_bias: int | None = parameter(
        "what is taken off the exponent; none: 2^(exponent_width-1) - 1", None
    )
    saturating: bool = parameter("overflow gives the greatest value, or else infinity", True)
    infinities: bool = parameter("the greatest exponent is kept for infinities and NaN", False)

    def __post_init__(self) -> None:
        _check_widths("minifloat_ieee", self.width, self.exponent_width, 0)
        bias = checked_bias("minifloat_ieee", self.exponent_bias, self.exponent_width, *BIASES)
        object.__setattr__(self, "exponent_bias", bias)
        check_flag("minifloat_ieee", "saturating", self.saturating)
        check_flag("minifloat_ieee", "infinities", self.infinities)
        if not (self.saturating or self.infinities):
            why, allowed = "needs infinities = True", ("saturating = True",)
            raise wrong("minifloat_ieee", "saturating", self.saturating, why, allowed=allowed)
        if self.infinities and self.width - self.exponent_width < 2:
            raise UserError("minifloat_ieee: infinities need a mantissa; exponent_width is at most width - 2")

    @property
    def grid(self) -> Grid:
        """The value set."""
        bias = bias_or_usual(self.exponent_bias, self.exponent_width)
        fraction_bits = self.width - self.exponent_width - 1
        greatest = 2**self.exponent_width - 1 - self.infinities - bias
        if greatest < 1 - bias:  # one exponent bit with infinities: subnormals alone
            high = 2.0 ** (1 - bias) * (1 - 2.0**-fraction_bits)
        else:
            high = 2.0**greatest * (2 - 2.0**-fraction_bits)
        return Grid(fraction_bits, 1 - bias, high, None if self.saturating else math.inf)

    @property
    def bits(self) -> float:
        return float(self.width)

    @property
    def range(self) -> tuple[float, float]:
        return -self.grid.high, self.grid.high

    def quantize(self, x: Tensor) -> Tensor:
        return self.grid.quantize(x)


@dataclass(frozen=True, repr=False)
class MinifloatDenorm(Format):
    """Minifloat without an implicit one: 1 sign bit, `exponent_width` bits, the rest a mantissa below 1.

    Value set: +-2^(E - bias) * M/2^m for every E and M, m = width - exponent_width - 1, so several codes
    share a value. The bias is 2^(exponent_width-1) - 1 if not given. No infinities: rounds half to even and
    saturates; NaN stays NaN, zero keeps its sign.
    Source: the lab's system (MASE, minifloat_denorm); powers of two come out exactly here.
    """

    names: ClassVar[tuple[str, ...]] = ("minifloat_denorm",)
    typical: ClassVar[Mapping[str, Any]] = {"width": 8, "exponent_width": 4}
    notation: ClassVar[Notation] = Notation(
        "minifloat_denorm", ("width", "exponent_width"), keys={"bias": "exponent_bias"}
    )

    width: int = parameter("bits of a value, 3 to 32")
    exponent_width: int = parameter("bits of the exponent, 1 to 8 and at least two below the width")
    exponent_bias: int | None = parameter(
        "what is taken off the exponent; none: 2^(exponent_width-1) - 1", None
    )

    def __post_init__(self) -> None:
        _check_widths("minifloat_denorm", self.width, self.exponent_width, 1)
        bias = checked_bias("minifloat_denorm", self.exponent_bias, self.exponent_width, *BIASES)
        object.__setattr__(self, "exponent_bias", bias)

    @property
    def grid(self) -> Grid:
        """The value set: a mantissa of m bits has m - 1 behind its leading one."""
        bias = bias_or_usual(self.exponent_bias, self.exponent_width)
        mantissa_bits = self.width - self.exponent_width - 1
        high = 2.0 ** (2**self.exponent_width - 1 - bias) * (1 - 2.0**-mantissa_bits)
        return Grid(mantissa_bits - 1, -bias - 1, high)

    @property
    def bits(self) -> float:
        return float(self.width)

    @property
    def range(self) -> tuple[float, float]:
        return -self.grid.high, self.grid.high

    def quantize(self, x: Tensor) -> Tensor:
        return self.grid.quantize(x)
