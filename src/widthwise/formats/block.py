"""Block formats of the literature: shared exponent, shared exponent bias."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from widthwise.formats.base import check_flag, check_integer, parameter
from widthwise.formats.bias import bias_or_usual, checked_bias
from widthwise.formats.blocks import BlockFormat
from widthwise.formats.exact import (
    exceeds,
    held,
    least,
    nearest_power,
    shortened,
)
from widthwise.formats.minifloat import Grid
from widthwise.formats.notation import Notation

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, repr=False)
class BlockFP(BlockFormat):
    """Block floating point: sign and mantissa below 1 for each element, one exponent for the block (MSFP).

    Value set of a block: +-2^(E - bias) * M/2^(width-1), M from 0 to 2^(width-1) - 1, E an integer of
    exponent_width bits that all share; bias 2^(exponent_width-1) - 1 if not given. 2^(E - bias) is the least
    power of two above the block's greatest magnitude, as far as E reaches. Rounds half to even, saturates; a
    block with NaN becomes NaN; zero keeps its sign.
    Source: Rouhani et al. 2020, "Pushing the Limits of Narrow Precision Inferencing at Cloud Scale with
    Microsoft Floating Point". The lab's system takes the power up to a magnitude that is one itself, and
    clips it.
    """

    names: ClassVar[tuple[str, ...]] = ("block_fp",)
    notation: ClassVar[Notation] = Notation(
        "block_fp", ("width", "exponent_width"), keys={"bias": "exponent_bias"}
    )

    width: int = parameter("bits of an element: sign and mantissa, 2 to 24", 12)
    exponent_width: int = parameter("bits of the shared exponent, 1 to 8", 8)
    exponent_bias: int | None = parameter(
        "what is taken off the exponent; none: 2^(exponent_width-1) - 1", None
    )

    def __post_init__(self) -> None:
        self._check_blocks()
        check_integer("block_fp", "width", self.width, 2, 24)
        check_integer("block_fp", "exponent_width", self.exponent_width, 1, 8)
        bias = checked_bias("block_fp", self.exponent_bias, self.exponent_width, 0, 255)
        object.__setattr__(self, "exponent_bias", bias)

    @property
    def exponents(self) -> tuple[int, int]:
        """Least and greatest shared exponent."""
        bias = bias_or_usual(self.exponent_bias, self.exponent_width)
        return -bias, 2**self.exponent_width - 1 - bias

    @property
    def element_bits(self) -> int:
        return self.width

    @property
    def scale_bits(self) -> int:
        return self.exponent_width

    @property
    def range(self) -> tuple[float, float]:
        high = 2.0 ** self.exponents[1] * (1 - 2.0 ** (1 - self.width))
        return -high, high

    @property
    def _element_high(self) -> float:
        return 2.0 ** (self.width - 1) - 1

    @property
    def _double(self) -> bool:
        return self.exponents[0] - self.width < -149

    @property
    def _exponents(self) -> tuple[int, int, int]:
        low, high = self.exponents  # of the power above the greatest magnitude
        return low - 1, high - 1, 2 - self.width

    def _round(self, y: Tensor, dtype: torch.dtype) -> Tensor:
        high = shortened(self._element_high, dtype)
        return y.round_().clamp_(-high, high)


@dataclass(frozen=True, repr=False)
class BlockMinifloat(BlockFormat):
    """Block minifloat: IEEE-style minifloats whose exponent bias the block shares.

    Value set of a block: that of `MinifloatIEEE` (subnormals, no infinities) with a bias B, an unsigned
    integer of exponent_bias_width bits. B is chosen so that the greatest exponent is that of the block's
    greatest magnitude, as far as B reaches: B >= 0 bounds values below 2^(2^exponent_width). Rounds half to
    even, saturates; a block with NaN becomes NaN; zero keeps its sign.
    Source: Fox et al. 2021, "A Block Minifloat Representation for Training Deep Neural Networks".
    """

    names: ClassVar[tuple[str, ...]] = ("block_minifloat",)
    notation: ClassVar[Notation] = Notation(
        "block_minifloat", ("width", "exponent_width", "exponent_bias_width")
    )

    width: int = parameter("bits of an element, 2 to 32", 8)
    exponent_width: int = parameter("bits of an element's exponent, 1 to 8 and below the width", 4)
    exponent_bias_width: int = parameter("bits of the shared bias, 1 to 8", 8)

    def __post_init__(self) -> None:
        self._check_blocks()
        check_integer("block_minifloat", "width", self.width, 2, 32)
        check_integer("block_minifloat", "exponent_width", self.exponent_width, 1, min(8, self.width - 1))
        check_integer("block_minifloat", "exponent_bias_width", self.exponent_bias_width, 1, 8)

    @property
    def grid(self) -> Grid:
        """The elements, as multiples of two to the block's greatest exponent."""
        fraction_bits = self.width - self.exponent_width - 1
        return Grid(fraction_bits, 2 - 2**self.exponent_width, 2 - 2.0**-fraction_bits)

    @property
    def element_bits(self) -> int:
        return self.width

    @property
    def scale_bits(self) -> int:
        return self.exponent_bias_width

    @property
    def range(self) -> tuple[float, float]:
        high = self.grid.high * 2.0 ** (2**self.exponent_width - 1)
        return -high, high

    @property
    def _element_high(self) -> float:
        return self.grid.high

    @property
    def _double(self) -> bool:
        return self.grid.min_exponent - self.grid.fraction_bits < -120

    def _held_(self, y: Tensor, x: Tensor, dtype: torch.dtype) -> Tensor:
        high = held(self.range[1], dtype, digits=self.grid.fraction_bits + 1)
        return y.clamp_(-high, high) if high < self.range[1] else y

    @property
    def _exponents(self) -> tuple[int, int, int]:
        top = 2**self.exponent_width - 1
        return top - (2**self.exponent_bias_width - 1), top, 0

    def _round(self, y: Tensor, dtype: torch.dtype) -> Tensor:
        high = shortened(self.grid.high, dtype)
        return self.grid.round_(y.clamp_(-high, high))


@dataclass(frozen=True, repr=False)
class BlockLog(BlockFormat):
    """Block log: signed powers of two whose exponent bias the block shares.

    Value set of a block: that of `Log` with a bias B, an unsigned integer of exponent_bias_width bits. B is
    chosen so that the greatest power is the one nearest to the block's greatest magnitude on a logarithmic
    axis, as far as B reaches (a block of zeros takes the greatest B). Without `zero`, zero of either sign
    becomes the least power. Rounds on a logarithmic axis, saturates at both ends; a block with NaN becomes
    NaN.
    Source: Miyashita et al. 2016 for the elements; the lab's system (MASE, block_log) for the shared bias,
    which takes the power above the greatest magnitude instead of the nearest.
    """

    names: ClassVar[tuple[str, ...]] = ("block_log",)
    notation: ClassVar[Notation] = Notation(
        "block_log", ("width", "exponent_bias_width"), words={"zero": ("zero", True)}
    )

    width: int = parameter("bits of an element, 2 to 8", 4)
    exponent_bias_width: int = parameter("bits of the shared bias, 1 to 8", 8)
    zero: bool = parameter("the least exponent's code stands for zero", False)

    def __post_init__(self) -> None:
        self._check_blocks()
        check_integer("block_log", "width", self.width, 2, 8)
        check_integer("block_log", "exponent_bias_width", self.exponent_bias_width, 1, 8)
        check_flag("block_log", "zero", self.zero)

    @property
    def element_bits(self) -> int:
        return self.width

    @property
    def scale_bits(self) -> int:
        return self.exponent_bias_width

    @property
    def range(self) -> tuple[float, float]:
        high = 2.0 ** (2 ** (self.width - 1) - 1)
        return -high, high

    @property
    def _element_high(self) -> float:
        return self._top * math.sqrt(2)  # the greatest power still is the nearest up to here

    @property
    def _top(self) -> float:
        """The greatest power, before scaling: so that with 8 bits none is subnormal in float32."""
        return 2.0 if self.width == 8 else 1.0

    def _held_(self, y: Tensor, x: Tensor, dtype: torch.dtype) -> Tensor:
        lowest = 0.0 if self.zero else least(dtype)
        return y.clamp_(lowest, held(self.range[1], dtype, digits=1)).copysign_(x + 0.0)

    @property
    def _exponents(self) -> tuple[int, int, int]:
        top = 2 ** (self.width - 1) - 1
        return top - (2**self.exponent_bias_width - 1), top, 0 if self._top == 1.0 else -1

    def _power(self, greatest: Tensor) -> Tensor:
        return nearest_power(greatest)

    def _round(self, y: Tensor, dtype: torch.dtype) -> Tensor:
        low = self._top * 2.0 ** (1 + self.zero - 2 ** (self.width - 1))
        powers = nearest_power(y).clamp_(low, self._top)
        return powers.mul_(exceeds(y.abs_(), low / 2)) if self.zero else powers
