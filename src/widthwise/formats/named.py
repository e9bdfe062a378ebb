"""The small floats that have names: of IEEE 754, of accelerators, of the Open Compute Project."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from widthwise.formats.base import Format, check_choice, check_flag, parameter, wrong
from widthwise.formats.minifloat import Grid
from widthwise.formats.notation import Notation

if TYPE_CHECKING:
    from torch import Tensor

# kind: bits, fraction bits, exponent of the least normal value, greatest value, overflow unless saturating
KINDS: dict[str, tuple[int, int, int, float, float | None]] = {
    "bf16": (16, 7, -126, (2 - 2.0**-7) * 2.0**127, math.inf),
    "fp16": (16, 10, -14, 65504.0, math.inf),
    "tf32": (19, 10, -126, (2 - 2.0**-10) * 2.0**127, math.inf),
    "e4m3": (8, 3, -6, 448.0, math.nan),
    "e5m2": (8, 2, -14, 57344.0, math.inf),
    "e2m3": (6, 3, 0, 7.5, None),
    "e3m2": (6, 2, -2, 28.0, None),
    "e2m1": (4, 1, 0, 6.0, None),
}
PRESETS = {
    **{kind: kind for kind in KINDS},
    **{f"fp8_{kind}": kind for kind in ("e4m3", "e5m2")},
    **{f"fp6_{kind}": kind for kind in ("e2m3", "e3m2")},
    "fp4_e2m1": "e2m1",
    "fp4": "e2m1",
    "e4m3fn": "e4m3",
    "fp8_e4m3fn": "e4m3",
    "bfloat16": "bf16",
    "float16": "fp16",
}


@dataclass(frozen=True, repr=False)
class NamedFloat(Format):
    """A float with a name: bf16, fp16, tf32, fp8 e4m3 and e5m2, fp6 e2m3 and e3m2, fp4 e2m1; with subnormals.

    Value set: that of the name's specification. Rounds half to even. Saturates, infinities too, as the
    specification's saturating conversion does; with `saturating` off, overflow gives infinity (bf16, fp16,
    tf32, e5m2) or NaN (e4m3, which has no infinities), as in a cast; the 6- and 4-bit floats have neither and
    always saturate. NaN stays NaN (the 6- and 4-bit floats have no code for it, an accelerator would leave it
    undefined); zero keeps its sign.
    Source: IEEE 754-2019 (fp16); OCP 8-bit Floating Point Specification 1.0 (e4m3, e5m2); OCP Microscaling
    Formats Specification 1.0 (e2m3, e3m2, e2m1); bf16 and tf32 are float32 with 7 and 10 bits of mantissa.
    """

    names: ClassVar[tuple[str, ...]] = ("named_float",)
    typical: ClassVar[Mapping[str, Any]] = {"kind": "e4m3"}
    notation: ClassVar[Notation] = Notation(
        "named_float", ("kind",), words={"overflowing": ("saturating", False)}
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        name: {"kind": kind} for name, kind in PRESETS.items()
    }

    kind: str = parameter(f"one of {', '.join(KINDS)}")
    saturating: bool = parameter("overflow gives the greatest value, or else infinity or NaN", True)

    def __post_init__(self) -> None:
        check_choice("named_float", "kind", self.kind, tuple(KINDS))
        check_flag(self.kind, "saturating", self.saturating)
        if not self.saturating and KINDS[self.kind][4] is None:
            advice = "it has no infinities and no NaN, allowed: True"
            raise wrong(self.kind, "saturating", self.saturating, advice=advice)

    @property
    def grid(self) -> Grid:
        """The value set."""
        _, fraction_bits, min_exponent, high, overflow = KINDS[self.kind]
        return Grid(fraction_bits, min_exponent, high, None if self.saturating else overflow)

    @property
    def bits(self) -> float:
        return float(KINDS[self.kind][0])

    @property
    def range(self) -> tuple[float, float]:
        return -self.grid.high, self.grid.high

    def quantize(self, x: Tensor) -> Tensor:
        return self.grid.quantize(x)
