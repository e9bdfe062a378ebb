"""Powers of two: a sign and an exponent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from widthwise.formats.base import Format, check_flag, check_integer, parameter
from widthwise.formats.bias import bias_or_usual, checked_bias
from widthwise.formats.exact import exceeds, held, least, nan_or_zero, nearest_power, needs_double, working
from widthwise.formats.notation import Notation

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, repr=False)
class Log(Format):
    """Signed powers of two: 1 sign bit and width - 1 exponent bits.

    Value set: +-2^(E - bias), E from 0 to 2^(width-1) - 1; the bias is 2^(width-2) - 1 if not given. There is
    no zero: zero of either sign becomes +2^-bias. With `zero` the code E = 0 stands for zero, which takes
    what lies up to half the least power. Rounds to the nearest on a logarithmic axis (borders at 2^k *
    sqrt(2), which no float meets), saturates at both ends (infinities too); NaN stays NaN.
    Source: Miyashita et al. 2016, "Convolutional Neural Networks using Logarithmic Data Representation".
    """

    names: ClassVar[tuple[str, ...]] = ("log",)
    typical: ClassVar[Mapping[str, Any]] = {"width": 8}
    notation: ClassVar[Notation] = Notation(
        "log", ("width",), words={"zero": ("zero", True)}, keys={"bias": "exponent_bias"}
    )

    width: int = parameter("bits of a value, 2 to 8")
    exponent_bias: int | None = parameter("what is taken off the exponent; none: 2^(width-2) - 1", None)
    zero: bool = parameter("the least exponent's code stands for zero", False)

    def __post_init__(self) -> None:
        check_integer("log", "width", self.width, 2, 8)
        bias = checked_bias("log", self.exponent_bias, self.width - 1, 0, 255)
        object.__setattr__(self, "exponent_bias", bias)
        check_flag("log", "zero", self.zero)

    @property
    def exponents(self) -> tuple[int, int]:
        """Least and greatest exponent."""
        bias = bias_or_usual(self.exponent_bias, self.width - 1)
        return self.zero - bias, 2 ** (self.width - 1) - 1 - bias

    @property
    def bits(self) -> float:
        return float(self.width)

    @property
    def range(self) -> tuple[float, float]:
        high = 2.0 ** self.exponents[1]
        return -high, high

    def quantize(self, x: Tensor) -> Tensor:
        low, high = self.exponents
        y = working(x, double=needs_double(low))
        greatest = held(2.0**high, x.dtype, digits=1)
        powers = nearest_power(y).clamp_(max(2.0**low, least(x.dtype)), greatest)
        if self.zero:
            powers.mul_(exceeds(y.abs(), 2.0 ** (low - 1)))
        return powers.copysign_(y + 0.0).add_(nan_or_zero(y)).to(x.dtype)  # zero counts as positive
