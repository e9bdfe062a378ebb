"""Fixed point with widths of its own for each part of a tensor: channels, or single weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from widthwise.core.errors import UserError
from widthwise.formats.base import Format, check_flag, check_integer, parameter, wrong
from widthwise.formats.exact import held, working
from widthwise.formats.integer import LIMIT, Integer
from widthwise.formats.notation import Notation, written

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Codes = NDArray[np.int64]

WIDEST = 24  # bits of a part: a float32 holds all its values
HELD = 32  # bits that all parts together may take


@dataclass(frozen=True, repr=False)
class IntegerEach(Format):
    """Fixed point whose width and bits behind the point differ from part to part; a width of 0 leaves zero.

    Value set of a part: that of `Integer` with its width and frac_width; of width 0: 0 alone. Rounds half to
    even, saturates; NaN stays NaN; zero has no sign. widths and frac_widths are a number each for the
    parts in their order, or one for all. `shape` says how the parts lie: as an array that broadcasts against
    the last axes of a tensor. [16]: an element each of the last axis; [8, 1, 1]: a channel each of images;
    the shape of a weight: each weight by itself; []: one part.
    Source: Sun et al. 2024, HGQ (arXiv 2405.00645), whose widths are such; ap_fixed by element in HLS.
    """

    names: ClassVar[tuple[str, ...]] = ("integer_each", "fixed_each")
    typical: ClassVar[Mapping[str, Any]] = {"widths": (4,), "frac_widths": (2,)}
    aliases: ClassVar[Mapping[str, str]] = {"is_signed": "signed"}
    notation: ClassVar[Notation] = Notation(
        "fixed_each", ("widths", "frac_widths"), words={"unsigned": ("signed", False)}
    )

    widths: tuple[int, ...] | int = parameter(f"bits of each part, 0 to {WIDEST}")
    frac_widths: tuple[int, ...] | int = parameter("bits behind the point of each part")
    shape: tuple[int, ...] = parameter("how the parts lie, against the last axes of a tensor", ())
    signed: bool = parameter("two's complement, or else from zero up", True)

    def __post_init__(self) -> None:
        for name, low, high in (("widths", 0, WIDEST), ("frac_widths", -LIMIT, LIMIT)):
            object.__setattr__(self, name, _whole(name, getattr(self, name), low, high))
        object.__setattr__(self, "shape", _whole("shape", self.shape, 1, 2**31, empty=True))
        check_flag("integer_each", "signed", self.signed)
        parts = math.prod(self.shape)
        for name in ("widths", "frac_widths"):
            given = len(getattr(self, name))
            if given not in (1, parts):
                raise UserError(
                    f"integer_each: {name} has {given} numbers, and there are {parts} parts of shape "
                    f"{list(self.shape)}; give as many, or one for all"
                )
        if self._held > HELD:
            raise UserError(
                f"integer_each: frac_widths {int(self.table[1].min())} to {int(self.table[1].max())} lie "
                f"so far apart that all values together take {self._held} bits, at most {HELD} may be"
            )

    def __repr__(self) -> str:
        widths = self.table[0]
        if widths.size == 1:
            return written(self)
        sign = "" if self.signed else ",unsigned"
        size = "x".join(map(str, self.shape))
        return f"fixed_each<{widths.min()} to {widths.max()} bits, {self.bits:.3g} on average{sign}>/{size}"

    @cached_property
    def table(self) -> tuple[Codes, Codes]:
        """Widths and frac widths as arrays of `shape`."""
        import numpy as np

        pair = (np.array(numbers, dtype=np.int64) for numbers in (self.widths, self.frac_widths))
        widths, fractions = (np.broadcast_to(each if each.size > 1 else each[0], self._flat) for each in pair)
        return widths.reshape(self.shape), fractions.reshape(self.shape)

    @property
    def _flat(self) -> tuple[int]:
        return (math.prod(self.shape),)

    @property
    def is_one(self) -> bool:
        """Whether it is plain fixed point: one part, which has bits."""
        return self.table[0].size == 1 and int(self.table[0].reshape(-1)[0]) > 0

    @cached_property
    def code_ends(self) -> tuple[Codes, Codes]:
        """Least and greatest code of each part, arrays of `shape`."""
        import numpy as np

        widths = self.table[0]
        if not self.signed:
            return np.zeros_like(widths), (1 << widths) - 1
        half = np.where(widths > 0, 1 << np.maximum(widths - 1, 0), 0)
        return -half, np.maximum(half - 1, 0)

    @cached_property
    def hull(self) -> Integer:
        """The fixed point that holds the values of all parts."""
        widths, fractions = self.table
        live = widths > 0
        finest = int(fractions[live].max()) if live.any() else 0
        return Integer(max(self._held, 1), finest, self.signed)

    @cached_property
    def _held(self) -> int:
        """Bits of the numbers that count the values of all parts in the finest of their steps."""
        widths, fractions = self.table
        live = widths > 0
        return int((widths[live] - fractions[live]).max() + fractions[live].max()) if live.any() else 0

    @property
    def elementwise(self) -> bool:
        return math.prod(self.shape) == 1

    @property
    def bits(self) -> float:
        return float(self.table[0].mean())

    @property
    def range(self) -> tuple[float, float]:
        low, high = self._ends
        return float(low.min()), float(high.max())

    @cached_property
    def _ends(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        import numpy as np

        low, high = (np.ldexp(ends.astype(np.float64), -self.table[1]) for ends in self.code_ends)
        return low, high

    def storage_bits(self, shape: Sequence[int]) -> int:
        """Those of all parts, which are constants of the hardware: widths are not stored with them."""
        self.check_shape(shape)
        return int(self.table[0].sum()) * (math.prod(shape) // max(math.prod(self.shape), 1))

    def spread(self, shape: Sequence[int]) -> tuple[Codes, Codes]:
        """Width and frac width of each element of a tensor of this shape."""
        import numpy as np

        self.check_shape(shape)
        widths, fractions = (np.broadcast_to(each, tuple(shape)) for each in self.table)
        return widths, fractions

    def check_shape(self, shape: Sequence[int]) -> None:
        """Raises UserError for a tensor that the parts don't fit."""
        own = self.shape
        fits = len(shape) >= len(own)
        last = tuple(shape)[len(shape) - len(own) :]
        if not fits or any(a not in (1, b) for a, b in zip(own, last, strict=True)):
            raise UserError(
                f"integer_each: has parts of shape {list(own)}, which do not fit a tensor of {list(shape)}"
            )

    def quantize(self, x: Tensor) -> Tensor:
        import numpy as np
        import torch

        self.check_shape(x.shape)
        y = working(x)
        steps = np.ldexp(1.0, -self.table[1])
        low, high = self._ends
        if x.dtype not in (torch.float32, torch.float64):
            low, high = (_held(ends, steps, x.dtype) for ends in (low, high))
        step, least, most = (torch.from_numpy(np.array(a)).to(y) for a in (steps, low, high))
        found = (y / step).round_().mul_(step)
        return torch.minimum(torch.maximum(found, least), most).add_(0.0).to(x.dtype)  # -0 becomes 0

    def inside(self, x: Tensor) -> Tensor:
        low, high = self._bounds(x)
        return (x >= low) & (x <= high)

    def clipped(self, x: Tensor) -> Tensor:
        low, high = self._bounds(x)
        return (x < low) | (x > high)

    def _bounds(self, x: Tensor) -> tuple[Tensor, Tensor]:
        import torch

        low, high = (torch.as_tensor(ends).to(x.device) for ends in self._ends)
        return low, high


def _held(ends: NDArray[np.float64], steps: NDArray[np.float64], dtype: Any) -> NDArray[np.float64]:
    import numpy as np

    pairs = zip(ends.ravel().tolist(), steps.ravel().tolist(), strict=True)
    return np.array([held(end, dtype, step=step) if end else 0.0 for end, step in pairs]).reshape(ends.shape)


def _whole(name: str, given: Any, low: int, high: int, *, empty: bool = False) -> tuple[int, ...]:
    """Whole numbers in [low, high] as a tuple; raises UserError for anything else."""
    numbers = tuple(given) if isinstance(given, list | tuple) else (given,)
    if not numbers and not empty:
        raise wrong("integer_each", name, given, "is empty; give a number for each part, or one for all")
    for number in numbers:
        check_integer("integer_each", name, number, low, high)
    return numbers
