"""How a tensor falls into blocks: sizes along each axis, partial ones at the ends, no transposing."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from widthwise.core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Tiling:
    """Blocks of `sizes` over a tensor of `shape`; the last block along an axis may be partial."""

    shape: tuple[int, ...]
    sizes: tuple[int, ...]  # one for each axis, at least 1

    @functools.cached_property
    def counts(self) -> tuple[int, ...]:
        """Blocks along each axis."""
        return tuple(-(-n // size) for n, size in zip(self.shape, self.sizes, strict=True))

    @property
    def blocks(self) -> int:
        """Blocks in all."""
        return math.prod(self.counts)

    @functools.cached_property
    def _view(self) -> tuple[list[int], list[int]]:
        """The shape in which blocks have axes of their own, and which axes these are."""
        shape: list[int] = []
        within: list[int] = []
        for count, size in zip(self.counts, self.sizes, strict=True):
            if size > 1 and count > 1:
                shape.append(count)
            if size > 1:
                within.append(len(shape))
            shape.append(size if size > 1 else count)
        return shape, within

    @property
    def within(self) -> list[int]:
        """The axes of `split`'s result that run inside a block; none where every element is its own block."""
        return self._view[1]

    @property
    def table_shape(self) -> list[int]:
        """The shape of one value for each block, against which `split`'s result broadcasts."""
        shape, within = self._view
        return [1 if axis in within else n for axis, n in enumerate(shape)]

    def split(self, x: Tensor) -> Tensor:
        """x, filled up with zeros to whole blocks, in a shape in which blocks have axes of their own."""
        import torch

        missing = [c * s - n for c, s, n in zip(self.counts, self.sizes, self.shape, strict=True)]
        if any(missing):
            x = torch.nn.functional.pad(x, [end for more in reversed(missing) for end in (0, more)])
        return x.reshape(self._view[0])

    def join(self, blocks: Tensor) -> Tensor:
        """The tensor of `shape` that `split` gives these blocks for, contiguous."""
        whole = blocks.reshape([c * s for c, s in zip(self.counts, self.sizes, strict=True)])
        return whole[tuple(slice(n) for n in self.shape)].contiguous()


@functools.lru_cache(maxsize=1024)
def tiling(
    shape: tuple[int, ...], block_size: int | tuple[int, ...], *, axis: int = -1, skip_first_dim: bool = False
) -> Tiling:
    """Blocks over a shape: a number runs along `axis`; a list gives the last axes' sizes, and axes before
    have 1.

    -1 is the whole axis, sizes end at the axis' own. With skip_first_dim blocks never span the first of
    several axes.
    """
    if isinstance(block_size, int):
        sizes = [1] * len(shape)
        if not shape:
            return Tiling(shape, ())
        _check_axis(shape, axis)
        sizes[axis] = block_size
    else:
        sizes = list(((1,) * len(shape) + block_size)[len(block_size) :])
    if skip_first_dim and len(shape) > 1:
        sizes[0] = 1
    whole = [n if size == -1 else min(size, n) for size, n in zip(sizes, shape, strict=True)]
    return Tiling(shape, tuple(max(size, 1) for size in whole))


def channels(shape: Sequence[int], axis: int | None, groups: int = 1) -> Tiling:
    """One block for each index along the axis, or a single block for the tensor where axis is None.

    groups: equal parts of axis 0, each with blocks of its own, as the weight [in, out / groups, …] of a
    grouped transposed convolution has them: groups * out / groups blocks, in the order of the outputs.
    Raises UserError for an axis that the tensor doesn't have, and for parts that are not equal.
    """
    if axis is None:
        return tiling(tuple(shape), (-1,) * len(shape))
    _check_axis(shape, axis)
    sizes = [-1] * len(shape)
    if groups > 1:
        if axis % len(shape) == 0 or shape[0] % groups:
            found = f"a tensor with shape {list(shape)} has no {groups} equal parts of axis 0"
            raise UserError(f"{found}, each with channels along axis {axis}")
        sizes[0] = shape[0] // groups
    sizes[axis] = 1
    return tiling(tuple(shape), tuple(sizes))


def _check_axis(shape: Sequence[int], axis: int) -> None:
    if not -len(shape) <= axis < len(shape):
        allowed = f"{-len(shape)} to {len(shape) - 1}" if shape else "none, it has no axes"
        raise UserError(f"axis = {axis} of a tensor with shape {list(shape)}; allowed: {allowed}")
