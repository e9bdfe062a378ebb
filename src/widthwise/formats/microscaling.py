"""The Microscaling (MX) formats of the Open Compute Project: blocks with an 8-bit power-of-two scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from widthwise.formats.base import check_integer, parameter, wrong
from widthwise.formats.blocks import BLOCK_SIZE, BlockFormat
from widthwise.formats.exact import shortened
from widthwise.formats.minifloat import Grid
from widthwise.formats.named import KINDS
from widthwise.formats.notation import Notation

if TYPE_CHECKING:
    import torch
    from torch import Tensor

ELEMENTS = {8: ("e4m3", "e5m2"), 6: ("e2m3", "e3m2"), 4: ("e2m1",)}  # by width; the first if not given
SCALE_BITS = 8
LEAST_SCALE, GREATEST_SCALE = -127, 127  # exponents of e8m0, whose last code is NaN


@dataclass(frozen=True, repr=False)
class MXInt(BlockFormat):
    """Microscaling integers (mxint8 where width is 8): two's complement with one power-of-two scale a block.

    Value set of a block: 2^S * C / 2^(width-2), |C| <= 2^(width-1) - 1 (the code -2^(width-1) stays unused,
    as the specification allows, so that the set is symmetric), S from -127 to 127 (e8m0); with another
    exponent_width, S from 1 - 2^(exponent_width-1) to 2^(exponent_width-1) - 1. S is the exponent of the
    block's greatest magnitude, as far as it reaches. Rounds half to even, saturates; a block with NaN becomes
    NaN (the scale's NaN); zero keeps its sign.
    Source: OCP Microscaling Formats (MX) Specification 1.0, sections 5.2 and 6.3.
    """

    names: ClassVar[tuple[str, ...]] = ("mxint", "mxint_hardware")
    aliases: ClassVar[Mapping[str, str]] = {"parallelism": "block_size"}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        f"mxint{width}": {"width": width} for width in (8, 6, 4)
    }
    notation: ClassVar[Notation] = Notation("mxint", ("width",), keys={"exponent": "exponent_width"})

    block_size: int | tuple[int, ...] = parameter(BLOCK_SIZE, 32, kw_only=True)
    width: int = parameter("bits of an element, 2 to 16; the specification has 8", 8)
    exponent_width: int = parameter(
        "bits of the shared exponent, 2 to 8; the specification has 8", SCALE_BITS
    )

    def __post_init__(self) -> None:
        self._check_blocks()
        check_integer("mxint", "width", self.width, 2, 16)
        check_integer("mxint", "exponent_width", self.exponent_width, 2, 8)

    @property
    def element_bits(self) -> int:
        return self.width

    @property
    def scale_bits(self) -> int:
        return self.exponent_width

    @property
    def range(self) -> tuple[float, float]:
        high = self._element_high * 2.0 ** (2 ** (self.exponent_width - 1) - 1 - (self.width - 2))
        return -high, high

    @property
    def _element_high(self) -> float:
        return 2.0 ** (self.width - 1) - 1

    @property
    def _exponents(self) -> tuple[int, int, int]:
        limit = 2 ** (self.exponent_width - 1) - 1
        return -limit, limit, 2 - self.width

    def _round(self, y: Tensor, dtype: torch.dtype) -> Tensor:
        high = shortened(self._element_high, dtype)
        return y.round_().clamp_(-high, high)


@dataclass(frozen=True, repr=False)
class MXFloat(BlockFormat):
    """Microscaling floats: mxfp8 (e4m3 or e5m2), mxfp6 (e2m3 or e3m2), mxfp4 (e2m1) with one scale a block.

    Value set of a block: 2^S times the finite values of the element, S from -127 to 127 (e8m0). S is the
    exponent of the block's greatest magnitude less that of the element's greatest value, as far as it
    reaches. Elements round half to even and saturate; a block with NaN becomes NaN (the scale's NaN); zero
    keeps its sign.
    Source: OCP Microscaling Formats (MX) Specification 1.0, sections 5.3 and 6.3.
    """

    names: ClassVar[tuple[str, ...]] = ("mxfp",)
    notation: ClassVar[Notation] = Notation("mxfp", ("width", "exponent_width"))
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **{f"mxfp{width}": {"width": width} for width in ELEMENTS},
        **{
            f"mxfp{width}_{kind}": {"width": width, "exponent_width": int(kind[1])}
            for width, kinds in ELEMENTS.items()
            for kind in kinds
        },
    }

    block_size: int | tuple[int, ...] = parameter(BLOCK_SIZE, 32, kw_only=True)
    width: int = parameter("bits of an element: 8, 6 or 4", 8)
    exponent_width: int | None = parameter(
        "bits of an element's exponent; none: 4 of 8, 2 of 6, 2 of 4", None
    )

    def __post_init__(self) -> None:
        self._check_blocks()
        if isinstance(self.width, bool) or self.width not in ELEMENTS:
            raise wrong("mxfp", "width", self.width, allowed=ELEMENTS)
        allowed = [int(kind[1]) for kind in ELEMENTS[self.width]]
        if self.exponent_width is None:
            object.__setattr__(self, "exponent_width", allowed[0])
        if isinstance(self.exponent_width, bool) or self.exponent_width not in allowed:
            kinds = [f"{kind[1]} ({kind})" for kind in ELEMENTS[self.width]]
            raise wrong(f"mxfp{self.width}", "exponent_width", self.exponent_width, allowed=kinds)

    @property
    def element(self) -> str:
        """Name of the elements' format."""
        return next(kind for kind in ELEMENTS[self.width] if int(kind[1]) == self.exponent_width)

    @property
    def grid(self) -> Grid:
        """The elements' value set."""
        _, fraction_bits, min_exponent, high, _ = KINDS[self.element]
        return Grid(fraction_bits, min_exponent, high)

    @property
    def element_bits(self) -> int:
        return self.width

    @property
    def scale_bits(self) -> int:
        return SCALE_BITS

    @property
    def range(self) -> tuple[float, float]:
        high = self.grid.high * 2.0**GREATEST_SCALE
        return -high, high

    @property
    def _element_high(self) -> float:
        return self.grid.high

    @property
    def _exponents(self) -> tuple[int, int, int]:
        top = int(self.grid.high).bit_length() - 1
        return LEAST_SCALE + top, GREATEST_SCALE + top, -top

    def _round(self, y: Tensor, dtype: torch.dtype) -> Tensor:
        return self.grid.round_(y.clamp_(-self._element_high, self._element_high))
