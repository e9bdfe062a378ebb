"""Scaled integers: integer codes with a scale that need not be a power of two, and a zero point."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from widthwise.core.errors import UserError
from widthwise.formats.base import Format, Observer, check_choice, check_flag, check_integer, parameter
from widthwise.formats.directions import ADAPTIVE, NEAREST, check_rounding, directed, is_found
from widthwise.formats.exact import narrowed_, working
from widthwise.formats.notation import Notation
from widthwise.formats.observing import Extremes
from widthwise.formats.ranges import AUTO, LEAST_ERROR, checked_word
from widthwise.formats.scale_fitting import KeptShare, LeastScale, ScaleErrors
from widthwise.formats.scales import SCALE_BITS, as_scales, as_table, as_values, greatest, usable
from widthwise.formats.tiling import Tiling, channels, tiling

if TYPE_CHECKING:
    from torch import Tensor

PER = ("tensor", "channel", "group")
GROUP_AXIS = -1  # where none is given
CHANNEL_AXIS = 0  # where none is given and no layer is known, or has its output channels there


@dataclass(frozen=True, repr=False)
class ScaledInteger(Format):
    """Integers times a scale (affine quantisation): one scale for the tensor, for each channel, or for each
    group.

    Value set: scale * (C - zero_point). Symmetric: zero_point 0, |C| <= 2^(width-1) - 1 signed, 0 <= C <=
    2^width - 1 unsigned, the scale takes the greatest magnitude to the greatest code. Not symmetric: every
    code of `width` bits, the scale spans the data and zero, the zero point is rounded so that zero is exact.
    C = round(x / scale) + zero_point, half to even, saturating (infinities too, they count as the greatest
    finite value); NaN stays NaN and is left out where the scale follows the data. Scales follow the tensor at
    hand until `calibrated` or `scale` fixes them: per tensor, all its samples together. scale "auto" (none
    given) cuts nothing off; "auto-mse" is of that scale and finer ones, down to a sixteenth, the one with the
    least squared error; with "auto-99.9", or another share in a hundred, at most the rest of the values lies
    beyond the greatest codes, where not symmetric half of it at each end. Channels are the
    output channels of the layer whose weight it is, wherever its axes have them, unless `axis` is given; they
    run along axis 0 where no layer is known. Scales are at least the dtype's least normal number, 1 where all
    is zero, and 32 bits each in storage. In half-width dtypes values are rounded to the dtype.
    Source: Jacob et al. 2018, equation 1; ONNX QuantizeLinear and DequantizeLinear.
    """

    names: ClassVar[tuple[str, ...]] = ("scaled_integer", "scale_integer", "int")
    typical: ClassVar[Mapping[str, Any]] = {"width": 8}
    aliases: ClassVar[Mapping[str, str]] = {"is_signed": "signed"}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "uint": {"signed": False},
        "affine": {"symmetric": False},
    }
    notation: ClassVar[Notation] = Notation(
        "int",
        ("width",),
        words={"affine": ("symmetric", False), ADAPTIVE: ("rounding", ADAPTIVE)},
        keys={"scale": "scale", "zero": "zero_point", "groups": "channel_groups"},
    )

    width: int = parameter("bits of a code, 2 to 32")
    symmetric: bool = parameter("zero point 0 and codes of both signs alike", True)
    signed: bool = parameter("codes of both signs, or else from zero up", True)
    per: str = parameter(f"what has a scale of its own: {', '.join(PER)}", "tensor")
    axis: int | None = parameter(
        "the axis of channels or groups; none: the layer's output channels, -1 for groups", None
    )
    group_size: int | None = parameter(
        "elements of a group along the axis; -1: the whole axis; none: 32", None
    )
    scale: tuple[float, ...] | float | str | None = parameter(
        'the scale, fixed: a number or one for each part; or "auto", "auto-mse", "auto-99.9"; none: "auto"',
        None,
    )
    zero_point: tuple[int, ...] | int | None = parameter(
        "the zero point that goes with a fixed scale; none: 0", None
    )
    channel_groups: int = parameter(
        "equal parts of axis 0 that have channels of their own, as in a grouped transposed convolution", 1
    )

    rounding: str = parameter('"nearest", or "adaptive": of weights, up or down', NEAREST)

    def __post_init__(self) -> None:
        check_rounding("scaled_integer", self.rounding)
        check_integer("scaled_integer", "width", self.width, 2, 32)
        check_flag("scaled_integer", "symmetric", self.symmetric)
        check_flag("scaled_integer", "signed", self.signed)
        check_choice("scaled_integer", "per", self.per, PER)
        self._check_parts()
        object.__setattr__(self, "scale", self._checked_scale())
        self._check_zero_points()

    def _checked_scale(self) -> tuple[float, ...] | str | None:
        """Numbers, a word, or None for the first of the words."""
        if not isinstance(self.scale, str):
            return as_scales("scaled_integer", "scale", self.scale)
        word = checked_word("scaled_integer", "scale", self.scale, also="numbers above 0")
        if word != AUTO and self.per == "group":
            found = f'{word!r} goes with per = "tensor" or "channel"'
            raise UserError(found, where="scaled_integer", key="scale", advice="leave it out")
        return None if word == AUTO else word

    def _check_parts(self) -> None:
        """Raises UserError for an axis or a size without parts; writes down what stands for "not given"."""
        if self.axis is not None:
            check_integer("scaled_integer", "axis", self.axis, -8, 7)
            if self.per == "tensor":
                found = 'axis goes with per = "channel" or "group"'
                raise UserError(found, where="scaled_integer", key="per", advice="leave it out")
        elif self.per == "group":
            object.__setattr__(self, "axis", GROUP_AXIS)
        if self.per != "group":
            if self.group_size is not None:
                found = 'group_size goes with per = "group"'
                raise UserError(found, where="scaled_integer", key="per", advice="leave it out")
        elif self.group_size is None:
            object.__setattr__(self, "group_size", 32)
        elif self.group_size != -1:
            check_integer("scaled_integer", "group_size", self.group_size, 1, 2**31)
        check_integer("scaled_integer", "channel_groups", self.channel_groups, 1, 2**31)
        if self.channel_groups > 1 and (self.per != "channel" or self.axis in (None, 0)):
            found = 'channel_groups goes with per = "channel" and another axis than 0'
            raise UserError(found, where="scaled_integer", key="channel_groups", advice="leave it out")

    def _check_zero_points(self) -> None:
        if self.zero_point is None:
            return
        if self.symmetric or not isinstance(self.scale, tuple):
            found = "zero_point goes with a fixed scale and symmetric = False"
            raise UserError(found, where="scaled_integer", key="symmetric", advice="leave it out")
        points = tuple(self.zero_point) if isinstance(self.zero_point, list | tuple) else (self.zero_point,)
        for point in points:
            check_integer("scaled_integer", "zero_point", point, *self.codes)
        if len(points) != len(self.scale):
            raise UserError(f"scaled_integer: {len(points)} zero points for {len(self.scale)} scales")
        object.__setattr__(self, "zero_point", points)

    @property
    def codes(self) -> tuple[int, int]:
        """Least and greatest integer code."""
        if not self.signed:
            return 0, 2**self.width - 1
        greatest = 2 ** (self.width - 1) - 1
        return (-greatest if self.symmetric else -greatest - 1), greatest

    @property
    def bits(self) -> float:
        """Scales of tensors and channels are left out, those of groups are counted: their number is known."""
        if self.per != "group" or self.group_size == -1:
            return float(self.width)
        assert self.group_size is not None  # _check_parts wrote it down
        return self.width + self._bits_of_part / self.group_size

    @property
    def _bits_of_part(self) -> int:
        return SCALE_BITS + (0 if self.symmetric else self.width)

    @property
    def range(self) -> tuple[float, float]:
        """Of the part with the greatest range, where scales are fixed."""
        if not isinstance(self.scale, tuple):
            return (-math.inf if self.signed or not self.symmetric else 0.0), math.inf
        points = self.zero_point if isinstance(self.zero_point, tuple) else (0,) * len(self.scale)
        pairs = tuple(zip(self.scale, points, strict=True))
        low, high = self.codes
        return min(s * (low - z) for s, z in pairs), max(s * (high - z) for s, z in pairs)

    def storage_bits(self, shape: Sequence[int]) -> int:
        return math.prod(shape) * self.width + self.tiling(shape).blocks * self._bits_of_part

    def tiling(self, shape: Sequence[int]) -> Tiling:
        """The parts of a tensor of this shape that have a scale of their own."""
        if self.per == "tensor":
            return channels(shape, None)
        if self.per == "channel":
            axis = CHANNEL_AXIS if self.axis is None else self.axis
            return channels(shape, axis, self.channel_groups)
        assert self.axis is not None  # _check_parts wrote both down
        assert self.group_size is not None
        return tiling(tuple(shape), self.group_size, axis=self.axis)

    @property
    def elementwise(self) -> bool:
        one = isinstance(self.scale, tuple) and len(self.scale) == 1
        return one and not is_found(self.rounding)

    def written_parts(self) -> str:
        if self.per == "tensor":
            return ""
        size = "" if self.per == "channel" else "all" if self.group_size == -1 else str(self.group_size)
        usual = None if self.per == "channel" else GROUP_AXIS
        return f"/{self.per}{size}{'' if self.axis == usual else f'@{self.axis}'}"

    def for_channels(self, axis: int, groups: int = 1) -> ScaledInteger:
        if self.per != "channel" or self.axis is not None or (axis, groups) == (CHANNEL_AXIS, 1):
            return self
        return dataclasses.replace(self, axis=axis, channel_groups=groups)

    def quantize(self, x: Tensor) -> Tensor:
        if x.numel() == 0:
            return x.detach().clone()
        if isinstance(self.scale, str):
            return self.calibrated(x).quantize(x)
        tiles, blocks, scales, points = self._parts(x)
        low, high = self.codes
        y = self._rounded(blocks / scales, tiles)
        y = y.clamp_(low, high) if points is None else y.add_(points).clamp_(low, high).sub_(points)
        return narrowed_(tiles.join(y.mul_(scales)), x.dtype)

    def _rounded(self, codes: Tensor, tiles: Tiling) -> Tensor:
        if is_found(self.rounding):
            return tiles.split(directed(tiles.join(codes), self.rounding))
        return codes.round_()

    def inside(self, x: Tensor) -> Tensor:
        return self._between(x, outside=False)

    def clipped(self, x: Tensor) -> Tensor:
        return self._between(x, outside=True)

    def calibrated(self, x: Tensor) -> ScaledInteger:
        if isinstance(self.scale, tuple) or x.numel() == 0:
            return self
        if isinstance(self.scale, str):
            return self._fitted(x, self.scale)
        _, _, scales, points = self._parts(x)
        fixed = None if points is None else tuple(int(point) for point in as_values(points))
        return dataclasses.replace(self, scale=as_values(scales), zero_point=fixed)

    @property
    def _needs_double(self) -> bool:
        """Whether float32 is too narrow for the codes, or for the scales where these are fixed."""
        scales = self.scale if isinstance(self.scale, tuple) else ()
        return self.width > 16 or not all(2.0**-126 <= scale < 2.0**128 for scale in scales)

    def observer(self) -> Observer | None:
        if isinstance(self.scale, str):
            return LeastScale(self) if self.scale == LEAST_ERROR else KeptShare(self)
        return None if self.per == "group" else Extremes(self, self.axis)

    def _fitted(self, x: Tensor, word: str) -> ScaledInteger:
        """With scales as the word says."""
        widest = dataclasses.replace(self, scale=None).calibrated(x)
        fitting: Observer = ScaleErrors(widest) if word == LEAST_ERROR else KeptShare(self)
        found: Format | Observer = fitting
        while not isinstance(found, ScaledInteger):
            fitting.see(x)
            found = fitting.settled()
        return found

    def _between(self, x: Tensor, *, outside: bool) -> Tensor:
        if x.numel() == 0:
            return x.isnan()
        if isinstance(self.scale, str):
            return self.calibrated(x)._between(x, outside=outside)
        tiles, blocks, scales, points = self._parts(x)
        low, high = (code if points is None else code - points for code in self.codes)
        below, above = blocks < low * scales, blocks > high * scales
        mask = below | above if outside else ~(below | above | blocks.isnan())
        return tiles.join(mask)

    def _parts(self, x: Tensor) -> tuple[Tiling, Tensor, Tensor, Tensor | None]:
        """x in parts, and a scale and a zero point (None: 0) for each."""
        tiles = self.tiling(x.shape)
        blocks = tiles.split(working(x, double=self._needs_double))
        if isinstance(self.scale, tuple):
            scales = as_table(self.scale, tiles, blocks, repr(self))
            if not isinstance(self.zero_point, tuple):
                return tiles, blocks, scales, None
            return tiles, blocks, scales, as_table(self.zero_point, tiles, blocks, repr(self))
        if self.symmetric:
            scales, points = self.spanning(greatest(blocks.abs() if self.signed else blocks, tiles))
        else:
            scales, points = self.spanning(greatest(blocks, tiles), greatest(-blocks, tiles))
        return tiles, blocks, scales, points

    def spanning(self, above: Tensor, below: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Scales, and zero points (None: 0), whose codes reach to the magnitudes above and below zero.

        below: None where zero is in the middle.
        """
        if below is None:
            return usable(above / self.codes[1]), None
        levels = float(self.codes[1] - self.codes[0])
        scales = usable(above / levels + below / levels)
        return scales, (self.codes[0] + below / scales).round_().clamp_(*self.codes)
