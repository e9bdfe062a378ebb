"""Scales that may cut values off: those of least squared error, or that keep a share of the values.

What is fitted are scaled integers, whose file imports this one.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from widthwise.formats.base import Format, Observer
from widthwise.formats.exact import working
from widthwise.formats.observing import Extremes
from widthwise.formats.quantiles import Ranked
from widthwise.formats.ranges import left_out
from widthwise.formats.scales import as_values, fixed
from widthwise.formats.tiling import Tiling

if TYPE_CHECKING:
    from torch import Tensor

FINER, HALVES = 24, 4  # tried are the scales with which nothing is cut off, times 2^(-i * HALVES / FINER)


class LeastScale:
    """First the extremes, then of their scales and finer ones those with the least squared error."""

    def __init__(self, fmt: Any) -> None:
        self._fmt: Format = fmt
        self._ends = Extremes(dataclasses.replace(fmt, scale=None), fmt.axis)

    def see(self, x: Tensor) -> None:
        """As the extremes do."""
        self._ends.see(x)

    def settled(self) -> Format | Observer:
        """What compares errors; the format as it is where nothing was seen."""
        if self._ends.ends is None:
            return self._fmt
        return ScaleErrors(self._ends.settled())


class ScaleErrors:
    """Squared errors of each part with several scales; widest: fixed, so that nothing saturates."""

    def __init__(self, widest: Any) -> None:
        self._scales = fixed(widest.scale) or ()
        shares = [2.0 ** (-step * HALVES / FINER) for step in range(FINER + 1)]
        self._formats: list[Any] = [
            dataclasses.replace(widest, scale=tuple(scale * share for scale in self._scales))
            for share in shares
        ]
        self._errors: Tensor | None = None  # [shares, parts], float64

    def see(self, x: Tensor) -> None:
        """Adds up the errors of the finite values of a block that has these parts."""
        import torch

        tiles = self._formats[0].tiling(x.shape)
        if not x.numel() or tiles.blocks != len(self._scales):
            return
        y = working(x, double=True)
        y = torch.where(y.isfinite(), y, 0.0)
        unit = torch.tensor(self._scales, dtype=y.dtype, device=y.device)[:, None]
        # in units whose squares do not underflow
        found = [(in_parts(tiles, fmt.quantize(y) - y) / unit).square().sum(1) for fmt in self._formats]
        self._errors = torch.stack(found) + (0.0 if self._errors is None else self._errors)

    def settled(self) -> Format:
        """With the widest of the scales with the least error, of each part."""
        widest: Format = self._formats[0]
        if self._errors is None:
            return widest
        best = self._errors.nan_to_num(nan=float("inf")).argmin(0).tolist()
        scales = [fixed(self._formats[at].scale) or () for at in best]
        chosen = tuple(each[part] for part, each in enumerate(scales))
        return dataclasses.replace(widest, scale=chosen)  # type: ignore[call-arg]


class KeptShare:
    """Scales beyond whose codes at most a share of each part's values lie, as the word in `scale` says.

    Where zero need not be in the middle, half of them above and half below.
    """

    def __init__(self, fmt: Any) -> None:
        self._fmt, self._plain = fmt, cast("Format", fmt)
        beyond = partial(left_out, str(fmt.scale), ends=1 if fmt.symmetric else 2)
        self._ends = [Ranked(beyond)] if fmt.symmetric else [Ranked(beyond), Ranked(beyond)]
        self._parts = 0  # of what was seen first

    def see(self, x: Tensor) -> None:
        """Counts magnitudes, or those above and those below zero, of a block that has these parts."""
        import torch

        tiles = self._fmt.tiling(x.shape)
        self._parts = self._parts or (tiles.blocks if x.numel() else 0)
        if not x.numel() or tiles.blocks != self._parts:
            return
        y = working(x, double=self._fmt.width > 16)
        top = torch.finfo(y.dtype).max
        y = in_parts(tiles, y.clamp(-top, top))
        both = self._fmt.symmetric and self._fmt.signed
        for end, side in zip(self._ends, (y.abs() if both else y, -y), strict=False):
            end.see(side.clamp_min(0.0))

    def settled(self) -> Format | Observer:
        """The format; itself where there are bits of the ranks to be settled yet."""
        finished = [end.settle() for end in self._ends]
        if not all(finished):
            return self
        ends = [end.values for end in self._ends]
        if ends[0] is None:
            return self._plain
        scales, points = self._fmt.spanning(ends[0], ends[-1] if len(ends) > 1 else None)
        zero = None if points is None else tuple(int(point) for point in as_values(points))
        return dataclasses.replace(self._plain, scale=as_values(scales), zero_point=zero)  # type: ignore[call-arg]


def in_parts(tiles: Tiling, x: Tensor) -> Tensor:
    """x [parts, n]: a row for each part that has a scale of its own."""
    blocks = tiles.split(x)
    within = tiles.within
    parts = [axis for axis in range(blocks.ndim) if axis not in within]
    return blocks.permute(*parts, *within).reshape(tiles.blocks, -1)
