"""Ternary: minus, zero, plus."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from widthwise.formats.base import Format, Observer, check_flag, check_integer, check_number, parameter
from widthwise.formats.exact import exceeds, magnitudes, means, nan_or_zero, narrowed_, up_to, working
from widthwise.formats.notation import Notation
from widthwise.formats.observing import MeanMagnitude
from widthwise.formats.scales import SCALE_BITS, as_scales, as_table, as_values, fixed
from widthwise.formats.tiling import Tiling, channels

if TYPE_CHECKING:
    from torch import Tensor

# the threshold's share of each statistic of the magnitudes; the first that is given counts
SHARES = {"mean": 0.75, "max": 0.05, "median": 0.75}


@dataclass(frozen=True, repr=False)
class Ternary(Format):
    """Two bits for three values: minus, zero, plus, times a scale.

    Value set: {-a, 0, +a}; a magnitude above the threshold becomes a, any other 0. The threshold is
    `threshold`, or 0.75 * `mean`, or 0.05 * `max`, or 0.75 * `median` (the first that is given, statistics of
    the magnitudes), or else 0.75 times the mean magnitude of the data; a is 1, or with `scaling_factor` the
    mean of the magnitudes above the threshold. What follows the data is taken from the whole tensor, all its
    samples together, or from each index along `axis`, until `calibrated` fixes it. It is a threshold, not the
    nearest value; infinities count as their sign, in means as the greatest finite value; NaN stays NaN and is
    left out of the means.
    Source: Li and Liu 2016 (Ternary Weight Networks); Zhu et al. 2017 for the share of the maximum.
    """

    names: ClassVar[tuple[str, ...]] = ("ternary",)
    aliases: ClassVar[Mapping[str, str]] = {"scaling": "scaling_factor", "maximum": "max"}
    notation: ClassVar[Notation] = Notation(
        "ternary", words={"scaled": ("scaling_factor", True)}, keys={"t": "threshold", "a": "scale"}
    )

    width: int = parameter("bits of a value: 2", 2)
    scaling_factor: bool = parameter("a is the mean magnitude above the threshold, or else 1", False)
    threshold: tuple[float, ...] | float | None = parameter("what a magnitude must exceed", None)
    mean: float | None = parameter("mean magnitude, as measured before", None)
    median: float | None = parameter("median magnitude, as measured before", None)
    max: float | None = parameter("greatest magnitude, as measured before", None)
    axis: int | None = parameter(
        "one threshold and scale for each index along this axis; none: one of each", None
    )
    scale: tuple[float, ...] | float | None = parameter("a, fixed: a number or one for each index", None)

    def __post_init__(self) -> None:
        check_integer("ternary", "width", self.width, 2, 2)
        check_flag("ternary", "scaling_factor", self.scaling_factor)
        if self.axis is not None:
            check_integer("ternary", "axis", self.axis, -8, 7)
        object.__setattr__(self, "threshold", self._read_threshold())
        object.__setattr__(self, "scale", as_scales("ternary", "scale", self.scale, "from 0"))
        if self.scale is not None:  # a scale that is fixed follows no data
            object.__setattr__(self, "scaling_factor", False)

    def _read_threshold(self) -> tuple[float, ...] | None:
        """The threshold as given, or else from the first statistic; these are then forgotten."""
        threshold = as_scales("ternary", "threshold", self.threshold, "from 0")
        for key, share in SHARES.items():
            value = getattr(self, key)
            if value is None:
                continue
            check_number("ternary", key, value, "from 0" if threshold is None else "any")
            threshold = threshold or (share * value,)
            object.__setattr__(self, key, None)
        return threshold

    @property
    def elementwise(self) -> bool:
        return (
            len(fixed(self.threshold) or ()) == 1 == len(fixed(self.scale) or (1.0,))
            and not self.scaling_factor
        )

    @property
    def bits(self) -> float:
        return 2.0

    @property
    def range(self) -> tuple[float, float]:
        greatest = math.inf if self.scaling_factor else max(fixed(self.scale) or (1.0,))
        return -greatest, greatest

    def storage_bits(self, shape: Sequence[int]) -> int:
        scales = channels(shape, self.axis).blocks if self.scaling_factor or self.scale else 0
        return 2 * math.prod(shape) + SCALE_BITS * scales

    def quantize(self, x: Tensor) -> Tensor:
        if x.numel() == 0:
            return x.detach().clone()
        y = working(x)
        tiles = channels(y.shape, self.axis)
        threshold = self._thresholds(y, tiles)
        signs = exceeds(y.abs(), threshold).mul_(y.sign()).add_(nan_or_zero(y))
        if self.scale or self.scaling_factor:
            signs.mul_(self._scales(y, threshold, tiles))
        return narrowed_(signs, x.dtype)

    def clipped(self, x: Tensor) -> Tensor:
        fixed = self.calibrated(x)
        return super().clipped(x) if fixed is self else fixed.clipped(x)

    def calibrated(self, x: Tensor) -> Ternary:
        if x.numel() == 0 or (self.threshold is not None and not self.scaling_factor):
            return self
        y = working(x)
        tiles = channels(x.shape, self.axis)
        threshold = self._thresholds(y, tiles)
        scale = as_values(self._scales(y, threshold, tiles)) if self.scaling_factor else self.scale
        return dataclasses.replace(self, threshold=as_values(threshold), scale=scale)

    def observer(self) -> Observer:
        if not self.scaling_factor:
            return MeanMagnitude(self, self.axis)
        if (threshold := fixed(self.threshold)) is None:
            return Thresholds(self)
        import torch

        return MeanMagnitude(self, self.axis, torch.tensor(threshold))

    def _thresholds(self, y: Tensor, tiles: Tiling) -> Tensor:
        if threshold := fixed(self.threshold):
            return as_table(threshold, tiles, y, repr(self))
        found = means(magnitudes(y), y.isnan().logical_not_(), tiles.within)
        return up_to(found.mul_(SHARES["mean"]), y.dtype)

    def _scales(self, y: Tensor, threshold: Tensor, tiles: Tiling) -> Tensor:
        if scales := fixed(self.scale):
            return as_table(scales, tiles, y, repr(self))
        found = magnitudes(y)
        above = exceeds(found, threshold)
        return means(found.mul_(above), above, tiles.within).to(y.dtype)


class Thresholds(MeanMagnitude):
    """For a ternary format with a scale: first its threshold, then the mean of the magnitudes above."""

    def __init__(self, fmt: Ternary) -> None:
        super().__init__(fmt, fmt.axis)
        self._ternary = fmt

    def settled(self) -> Format | Observer:
        """What finds the scale, where anything was seen."""
        fmt, digest = self._ternary, self.digest
        if digest is None:
            return fmt
        plain = dataclasses.replace(fmt, scaling_factor=False).calibrated(digest)
        assert isinstance(plain.threshold, tuple)
        border = digest.new_tensor(plain.threshold)
        return MeanMagnitude(dataclasses.replace(fmt, threshold=plain.threshold), fmt.axis, border)
