"""Fixing what follows the data from values that come block by block: all at once they may not fit the memory.

What a format follows is gathered in a small digest, a tensor for which `calibrated` gives what it gives for
all the values: their extremes, or mean magnitudes, of each part that has a scale of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from widthwise.formats.base import Format, Observer
from widthwise.formats.exact import exceeds, working

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Everything:
    """Keeps all values, for formats that say no more of what they follow."""

    def __init__(self, fmt: Format) -> None:
        self._fmt = fmt
        self._seen: list[Tensor] = []

    def see(self, x: Tensor) -> None:
        """A copy: a later layer may change them in place."""
        self._seen.append(x.clone())

    def settled(self) -> Format:
        """Fixed by all; those of other shapes than the first count where the format has no axis."""
        import torch

        if not self._seen:
            return self._fmt
        first = self._seen[0]
        alike = [x for x in self._seen if x.ndim and x.shape[1:] == first.shape[1:]]
        if len(alike) == len(self._seen) or getattr(self._fmt, "axis", None) is not None:
            return self._fmt.calibrated(torch.cat(alike) if len(alike) > 1 else first)
        return self._fmt.calibrated(torch.cat([x.flatten() for x in self._seen]))


class Extremes:
    """Least and greatest value, of the tensor or of each index along an axis, exactly."""

    def __init__(self, fmt: Format, axis: int | None = None, *, finite: bool = False) -> None:
        self._fmt, self._axis, self._finite = fmt, axis, finite
        self.elements = 0  # that are finite, where only those count
        self.ends: tuple[Tensor, Tensor] | None = None  # one value of each for each part
        self._axes = 1
        self._like: tuple[int, int] | None = None  # axes and indices of what was seen first

    def see(self, x: Tensor) -> None:
        """Where only finite values count, others are left out; else infinities stay, and NaN is left out."""
        import torch

        if not x.numel() or not _alike(self, x):
            return
        self.elements += x.numel()
        low, high = _ends(x, self._axis)
        if self._finite and not bool((low + high).isfinite().all()):
            kept = x.isfinite()
            self.elements += int(kept.sum()) - x.numel()
            low, high = _ends(torch.where(kept, x, 0.0), self._axis)
        elif bool((low + high).isnan().any()):
            low, high = _ends(torch.where(x.isnan(), 0.0, x), self._axis)
        if self.ends is not None:
            low, high = torch.minimum(low, self.ends[0]), torch.maximum(high, self.ends[1])
        self.ends, self._axes = (low, high), max(x.ndim, 1)

    def settled(self) -> Format:
        """Fixed by the extremes alone."""
        import torch

        if self.ends is None:
            return self._fmt
        rows = [_placed(end, self._axis, self._axes) for end in self.ends]
        return self._fmt.calibrated(torch.cat(rows))


class MeanMagnitude:
    """Mean magnitude, of the tensor or of each index along an axis, summed in float64.

    border: only magnitudes above it count, a number or one for each index; None: all.
    """

    def __init__(self, fmt: Format, axis: int | None = None, border: Tensor | None = None) -> None:
        self._fmt, self._axis, self._border = fmt, axis, border
        self._sums: Tensor | None = None
        self._counts: Tensor | float = 0.0
        self._axes = 1
        self._dtype: torch.dtype
        self._like: tuple[int, int] | None = None

    def see(self, x: Tensor) -> None:
        """NaN makes its whole part NaN."""
        import torch

        if not x.numel() or not _alike(self, x):
            return
        magnitudes, within = working(x).abs(), _within(x.ndim, self._axis)
        counted: Tensor | float = x.numel() / (1 if self._axis is None else x.shape[self._axis])
        if self._border is not None:
            border = self._border.to(magnitudes)
            above = exceeds(magnitudes, _placed(border, self._axis, x.ndim) if border.numel() > 1 else border)
            magnitudes = magnitudes * above
            counted = above.sum(within, dtype=torch.float64).flatten()
        sums = magnitudes.sum(within, dtype=torch.float64).flatten()
        self._sums = sums if self._sums is None else self._sums + sums
        self._counts, self._axes, self._dtype = self._counts + counted, max(x.ndim, 1), magnitudes.dtype

    @property
    def digest(self) -> Tensor | None:
        """The means as a tensor that has one value for each part."""
        if self._sums is None:
            return None
        counts = self._counts if isinstance(self._counts, float) else self._counts.clamp_min(1)
        return _placed((self._sums / counts).to(self._dtype), self._axis, self._axes)

    def settled(self) -> Format | Observer:
        """Fixed by the means alone."""
        return self._fmt if (digest := self.digest) is None else self._fmt.calibrated(digest)


def _ends(x: Tensor, axis: int | None) -> tuple[Tensor, Tensor]:
    within = _within(x.ndim, axis)
    return x.detach().amin(within).flatten(), x.detach().amax(within).flatten()


def _within(axes: int, axis: int | None) -> list[int]:
    """The axes along which values belong to one part."""
    return [at for at in range(axes) if axis is None or at != axis % axes]


def _placed(values: Tensor, axis: int | None, axes: int) -> Tensor:
    """One value for each index along the axis, in a tensor of so many axes."""
    shape = [1] * axes
    if axis is not None:
        shape[axis] = -1
    return values.reshape(shape)


def _alike(observer: Extremes | MeanMagnitude, x: Tensor) -> bool:
    """Whether x has the parts that the first had; all have where there is one part alone."""
    axis = observer._axis
    if axis is None:
        return True
    observer._like = observer._like or (x.ndim, x.shape[axis])
    return observer._like == (x.ndim, x.shape[axis])
