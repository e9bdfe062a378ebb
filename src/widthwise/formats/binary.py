"""Binary: one bit, the sign."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from widthwise.formats.base import Format, Observer, check_flag, check_integer, parameter, wrong
from widthwise.formats.exact import exceeds, least, magnitudes, means, nan_or_zero, narrowed_, working
from widthwise.formats.notation import Notation
from widthwise.formats.observing import MeanMagnitude
from widthwise.formats.scales import SCALE_BITS, as_scales, as_table, as_values, fixed
from widthwise.formats.tiling import channels

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, repr=False)
class Binary(Format):
    """One bit: the sign, times a scale.

    Value set: bipolar {-a, +a}, zero of either sign becomes +a; else {0, a}, only what is above zero becomes
    a. a is 1, or with `scaling_factor` the mean magnitude of the data: of the whole tensor, all its samples
    together, or of each index along `axis`, until `calibrated` or `scale` fixes it. It is the sign, not the
    nearest value; infinities count as their sign, in a mean as the greatest finite value; NaN stays NaN and
    is left out of the mean. Deterministic: the lab's system has a stochastic variant, with which a search
    could not be repeated.
    Source: Courbariaux et al. 2016 (BinaryNet); Rastegari et al. 2016 (XNOR-Net) for the scale.
    """

    names: ClassVar[tuple[str, ...]] = ("binary",)
    aliases: ClassVar[Mapping[str, str]] = {"scaling": "scaling_factor"}
    notation: ClassVar[Notation] = Notation(
        "binary", words={"01": ("bipolar", False), "scaled": ("scaling_factor", True)}, keys={"a": "scale"}
    )

    width: int = parameter("bits of a value: 1", 1)
    bipolar: bool = parameter("-a and +a, or else 0 and a", True)
    scaling_factor: bool = parameter("a is the mean magnitude, or else 1", False)
    axis: int | None = parameter("one scale for each index along this axis; none: one for the tensor", None)
    scale: tuple[float, ...] | float | None = parameter("a, fixed: a number or one for each index", None)
    stochastic: bool = parameter("false: rounding at random is refused", False)

    def __post_init__(self) -> None:
        check_integer("binary", "width", self.width, 1, 1)
        check_flag("binary", "bipolar", self.bipolar)
        check_flag("binary", "scaling_factor", self.scaling_factor)
        check_flag("binary", "stochastic", self.stochastic)
        if self.stochastic:
            why = "would give another result at each run"
            raise wrong("binary", "stochastic", self.stochastic, why, allowed=(False,))
        if self.axis is not None:
            check_integer("binary", "axis", self.axis, -8, 7)
        object.__setattr__(self, "scale", as_scales("binary", "scale", self.scale))
        if self.scale is not None:  # a scale that is fixed follows no data
            object.__setattr__(self, "scaling_factor", False)

    @property
    def elementwise(self) -> bool:
        return not self.scaling_factor and len(fixed(self.scale) or (1.0,)) == 1

    @property
    def bits(self) -> float:
        return 1.0

    @property
    def range(self) -> tuple[float, float]:
        high = math.inf if self.scaling_factor else max(fixed(self.scale) or (1.0,))
        return (-high if self.bipolar else 0.0), high

    def storage_bits(self, shape: Sequence[int]) -> int:
        scales = channels(shape, self.axis).blocks if self.scaling_factor or self.scale else 0
        return math.prod(shape) + SCALE_BITS * scales

    def quantize(self, x: Tensor) -> Tensor:
        import torch

        if x.numel() == 0:
            return x.detach().clone()
        y = working(x)
        signs = torch.copysign(y.new_ones(()), y + 0.0) if self.bipolar else exceeds(y, 0.0)
        signs.add_(nan_or_zero(y))
        if self.scale or self.scaling_factor:
            signs.mul_(self._scales(y))
        return narrowed_(signs, x.dtype)

    def clipped(self, x: Tensor) -> Tensor:
        followed = self.calibrated(x)
        return super().clipped(x) if followed is self else followed.clipped(x)

    def calibrated(self, x: Tensor) -> Binary:
        if not self.scaling_factor or x.numel() == 0:
            return self
        return dataclasses.replace(self, scale=as_values(self._scales(working(x))))

    def observer(self) -> Observer:
        return MeanMagnitude(self, self.axis)

    def _scales(self, y: Tensor) -> Tensor:
        """The scale of each part of y, which is whole: parts are never padded."""
        tiles = channels(y.shape, self.axis)
        if scales := fixed(self.scale):
            return as_table(scales, tiles, y, repr(self))
        found = means(magnitudes(y), y.isnan().logical_not_(), tiles.within)
        return found.to(y.dtype).clamp_min_(least(y.dtype))
