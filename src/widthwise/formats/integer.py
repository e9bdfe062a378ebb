"""Fixed point: integers with a binary point."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from widthwise.core.errors import UserError
from widthwise.formats.base import Format, Observer, check_flag, check_integer, parameter
from widthwise.formats.directions import ADAPTIVE, NEAREST, check_rounding, directed, is_found
from widthwise.formats.exact import held, working
from widthwise.formats.notation import Notation
from widthwise.formats.observing import Extremes
from widthwise.formats.ranges import AUTO, LEAST_ERROR, checked_word, left_out

if TYPE_CHECKING:
    from torch import Tensor

LIMIT = 64  # frac widths lie in [-LIMIT, LIMIT]


@dataclass(frozen=True, repr=False)
class Integer(Format):
    """Fixed point: the multiples of 2^-frac_width that an integer of `width` bits, signed or not, can count.

    Value set: two's complement, [-2^(width-1), 2^(width-1) - 1] * 2^-frac_width; unsigned, [0, 2^width - 1] *
    2^-frac_width. Rounds half to even, saturates (infinities too); NaN stays NaN; zero has no sign.
    frac_width "auto" is the greatest, from -64 to 64, with which every finite value of the data is rounded to
    a code, none beyond them; "auto-99.9", or another share in a hundred, the greatest with which at most the
    rest of these values is beyond them; "auto-mse" the one with the least squared error. All follow the whole
    tensor at hand, all its samples together, until `calibrated` fixes them.
    rounding "adaptive", of a weight: each number goes up or down as its layer's outputs on training samples
    come nearest those of the float layer; to the nearest until a search, or `calibrate_transform_pass`, has
    found that.
    Source: Jacob et al. 2018 (affine with zero point 0); in HLS ap_fixed<width, width - frac_width>.
    """

    names: ClassVar[tuple[str, ...]] = ("integer", "fixed")
    typical: ClassVar[Mapping[str, Any]] = {"width": 8, "frac_width": 4}
    aliases: ClassVar[Mapping[str, str]] = {"is_signed": "signed"}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"ufixed": {"signed": False}}
    notation: ClassVar[Notation] = Notation(
        "fixed", ("width", "frac_width"), words={ADAPTIVE: ("rounding", ADAPTIVE)}
    )

    width: int = parameter("bits of a value, 1 to 32")
    frac_width: int | str | None = parameter(
        'bits behind the point: a number, "auto", "auto-mse", "auto-99.9"; none: half', None
    )
    signed: bool = parameter("two's complement, or else from zero up", True)
    rounding: str = parameter('"nearest", or "adaptive": of weights, up or down', NEAREST)

    def __post_init__(self) -> None:
        check_integer("integer", "width", self.width, 1, 32)
        check_flag("integer", "signed", self.signed)
        check_rounding("integer", self.rounding)
        if isinstance(self.frac_width, str):
            word = checked_word("integer", "frac_width", self.frac_width, also="a whole number")
            object.__setattr__(self, "frac_width", word)
        elif self.frac_width is None:
            object.__setattr__(self, "frac_width", self.width // 2)
        else:
            check_integer("integer", "frac_width", self.frac_width, -LIMIT, LIMIT)

    @property
    def is_auto(self) -> bool:
        """Whether the frac width follows the data."""
        return isinstance(self.frac_width, str)

    @property
    def fraction(self) -> int:
        """Bits behind the binary point; may exceed the width (all values below 1) or be negative."""
        if not isinstance(self.frac_width, int):
            raise UserError(f"{self!r} has no frac width before it is calibrated")
        return self.frac_width

    @property
    def elementwise(self) -> bool:
        return not self.is_auto and not is_found(self.rounding)

    @property
    def codes(self) -> tuple[int, int]:
        """Least and greatest integer code."""
        if self.signed:
            return -(2 ** (self.width - 1)), 2 ** (self.width - 1) - 1
        return 0, 2**self.width - 1

    @property
    def bits(self) -> float:
        return float(self.width)

    @property
    def range(self) -> tuple[float, float]:
        if self.is_auto:
            return (-math.inf if self.signed else 0.0), math.inf
        step = 2.0**-self.fraction
        return self.codes[0] * step, self.codes[1] * step

    def quantize(self, x: Tensor) -> Tensor:
        import torch

        if self.is_auto:
            return self.calibrated(x).quantize(x)
        y = working(x)
        step = 2.0**-self.fraction
        low, high = (held(bound, x.dtype, step=step) for bound in self.range)
        if is_found(self.rounding):
            return directed(y.mul(1 / step), self.rounding).mul_(step).clamp_(low, high).add_(0.0).to(x.dtype)
        if self.width <= 22 or y.dtype == torch.float64:
            # Next to 1.5 * 2^digits steps a float's spacing is one step: the addition rounds, half to even.
            shift = 1.5 * step * 2.0 ** (52 if y.dtype == torch.float64 else 23)
            return y.clamp(low, high).add_(shift).sub_(shift).to(x.dtype)
        return y.mul(1 / step).round_().mul_(step).clamp_(low, high).add_(0.0).to(x.dtype)  # -0 becomes 0

    def clipped(self, x: Tensor) -> Tensor:
        return super().clipped(x) if not self.is_auto else self.calibrated(x).clipped(x)

    def calibrated(self, x: Tensor) -> Integer:
        """Half the width stands where x has no finite value but zero."""
        if not self.is_auto:
            return self
        y = working(x)
        low, high = _ends(y)
        if not math.isfinite(low + high):
            y = y[y.isfinite()]
            low, high = _ends(y)
        fraction = self.fraction_for(low, high)
        if fraction is None:
            return dataclasses.replace(self, frac_width=None)
        if self.frac_width == AUTO:
            return dataclasses.replace(self, frac_width=fraction)
        if self.frac_width == LEAST_ERROR:
            return self._least_error(y, fraction)
        kept = FewBeyond(self, fraction, y.numel())
        kept.see(y)
        return kept.settled()

    def observer(self) -> Observer:
        return Extremes(self, finite=True) if self.frac_width == AUTO else Fitted(self)

    def _least_error(self, y: Tensor, fraction: int) -> Integer:
        """This format with the frac width, from `fraction` up, that has the least squared error."""
        import torch

        best, best_error = dataclasses.replace(self, frac_width=fraction), math.inf  # if all errors overflow
        for frac_width in self.fractions_from(fraction):
            fmt = dataclasses.replace(self, frac_width=frac_width)
            step = 2.0**-frac_width
            in_steps = fmt.quantize(y).sub_(y).mul_(1 / step)  # whose squares do not underflow
            error = (float(torch.linalg.vector_norm(in_steps)) * step) ** 2
            if error < best_error:
                best, best_error = fmt, error
            # what is not rounding is saturation, of which every finer format has as much
            if error - y.numel() * step**2 / 4 > best_error:
                break
        return best

    def fractions_from(self, fraction: int) -> Sequence[int]:
        """The frac widths from the one with which nothing saturates up to where everything does."""
        return [*range(fraction, min(fraction + self.width, LIMIT) + 1)]

    def fraction_for(self, low: float, high: float) -> int | None:
        """The greatest frac width with which neither bound saturates; None where both are zero anyhow."""
        least, greatest = self.codes
        low = min(low, 0.0) if self.signed else 0.0
        high = max(high, 0.0)
        if low == 0.0 == high:
            return None
        top = math.frexp(max(-low, high))[1]
        start = min(max(self.width - top + 1, -LIMIT), LIMIT)
        for fraction in range(start, -LIMIT, -1):
            if round(math.ldexp(low, fraction)) >= least and round(math.ldexp(high, fraction)) <= greatest:
                return fraction
        return -LIMIT


class Fitted:
    """For fixed point: first the ends, then the frac width that cuts off what is worth it."""

    def __init__(self, fmt: Integer) -> None:
        self._fmt = fmt
        self._ends = Extremes(fmt, finite=True)

    def see(self, x: Tensor) -> None:
        """As the extremes do."""
        self._ends.see(x)

    def settled(self) -> Format | Observer:
        """What compares frac widths, from the greatest up with which nothing saturates."""
        if self._ends.ends is None:
            return self._fmt
        low, high = (float(end) for end in self._ends.ends)
        fraction = self._fmt.fraction_for(low, high)
        if fraction is None:
            return dataclasses.replace(self._fmt, frac_width=None)
        if self._fmt.frac_width != LEAST_ERROR:
            return FewBeyond(self._fmt, fraction, self._ends.elements)
        # nothing saturates in the first, but below zero and at the limit: no error of it exceeds half a step
        bounded = fraction > -LIMIT and (self._fmt.signed or low >= 0)
        most = 1.001 * self._ends.elements * 4.0**-fraction / 4 if bounded else math.inf
        return _Errors(self._fmt, self._fmt.fractions_from(fraction), most)


class FewBeyond:
    """Counts values beyond the codes of several frac widths, up from one with which there are none.

    values: how many there are, all finite.
    """

    def __init__(self, fmt: Integer, fraction: int, values: int) -> None:
        self._fmt = fmt
        self._beyond = dict.fromkeys(fmt.fractions_from(fraction), 0)
        self._allowed = left_out(str(fmt.frac_width), values)

    def see(self, x: Tensor) -> None:
        """Adds up those of a block, for the frac widths with which there are not too many already."""
        y = working(x, double=self._fmt.width > 22)  # float32 has all their codes
        y = y if bool(y.isfinite().all()) else y[y.isfinite()]
        least, greatest = self._fmt.codes
        for fraction, before in self._beyond.items():
            if before > self._allowed:
                break
            codes = (y * 2.0**fraction).round_()
            beyond = codes > greatest
            if self._fmt.signed:
                beyond |= codes < least
            self._beyond[fraction] += int(beyond.sum())

    def settled(self) -> Integer:
        """The greatest frac width with few enough; the more, the greater it is."""
        first, *others = self._beyond
        fitting = [fraction for fraction in others if self._beyond[fraction] <= self._allowed]
        return dataclasses.replace(self._fmt, frac_width=max([first, *fitting]))


class _Errors:
    """Squared errors of fixed point with several frac widths; those that can't be the least are dropped."""

    def __init__(self, fmt: Integer, fractions: Sequence[int], most: float) -> None:
        self._formats = [dataclasses.replace(fmt, frac_width=fraction) for fraction in fractions]
        self._errors = [0.0] * len(fractions)
        self._most = most  # that the least can be

    def see(self, x: Tensor) -> None:
        """Adds up the errors of the finite values."""
        import torch

        y = working(x)
        y = y if bool(y.isfinite().all()) else y[y.isfinite()]
        for number, fmt in enumerate(self._formats):
            if self._errors[number] > self._most:
                continue
            step = 2.0**-fmt.fraction
            in_steps = fmt.quantize(y).sub_(y).mul_(1 / step)  # whose squares do not underflow
            self._errors[number] += (float(torch.linalg.vector_norm(in_steps)) * step) ** 2

    def settled(self) -> Format:
        """The first of those with the least error; if all overflow, the first."""
        known = [error if math.isfinite(error) else math.inf for error in self._errors]
        return self._formats[known.index(min(known))]


def _ends(y: Tensor) -> tuple[float, float]:
    """Least and greatest value, NaN or infinite where one is; zeros for none."""
    if y.numel() == 0:
        return 0.0, 0.0
    low, high = y.aminmax()
    return float(low), float(high)
