"""What block formats share: a tensor cut into blocks, a power-of-two scale for each, one grid for all."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from widthwise.core.errors import UserError
from widthwise.formats.base import Format, check_flag, check_integer, parameter, wrong
from widthwise.formats.exact import nan_or_zero, power_below, working
from widthwise.formats.tiling import Tiling, tiling

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BLOCK_SIZE = "elements along the axis, or sizes of the last axes; -1: all"


@dataclass(frozen=True, repr=False)
class BlockFormat(Format):
    """A format in which the elements of a block share what their greatest magnitude decides.

    A block with a NaN becomes all NaN; infinities count as the greatest finite value. The shared part is
    chosen from the block alone, so samples stay independent as long as no block spans axis 0: a number as
    block size runs along the last axis, a list gives the last axes' sizes, and `skip_first_dim` keeps even a
    list off the first axis.
    """

    block_size: int | tuple[int, ...] = parameter(BLOCK_SIZE, 16, kw_only=True)
    axis: int = parameter("the axis along which blocks of a single size run", -1, kw_only=True)
    skip_first_dim: bool = parameter("no block spans the first of several axes", False, kw_only=True)

    def _check_blocks(self) -> None:
        """Raises UserError for sizes that are no block; a list of one becomes the number, others a tuple."""
        name = self.names[0]
        if isinstance(self.block_size, list | tuple):
            sizes = tuple(self.block_size)
            object.__setattr__(self, "block_size", sizes[0] if len(sizes) == 1 else sizes)
        sizes = self.block_size if isinstance(self.block_size, tuple) else (self.block_size,)
        if not sizes:
            raise UserError(
                f"{name}: block_size is empty; allowed: whole numbers from 1, or -1 for a whole axis"
            )
        for size in sizes:
            if isinstance(size, bool) or not isinstance(size, int) or (size != -1 and not 1 <= size <= 2**31):
                allowed = ("whole numbers from 1", "or -1 (all)")
                raise wrong(name, "block_size", self.block_size, allowed=allowed)
        check_integer(name, "axis", self.axis, -8, 7)
        if isinstance(self.block_size, tuple) and self.axis != -1:
            why, advice = "goes with a single block_size", "a list names the axes itself"
            raise wrong(name, "axis", self.axis, why, advice=advice)
        check_flag(name, "skip_first_dim", self.skip_first_dim)

    @property
    def elementwise(self) -> bool:
        return False

    def written_parts(self) -> str:
        sizes = self.block_size if isinstance(self.block_size, tuple) else (self.block_size,)
        listed = "x".join("all" if size == -1 else str(size) for size in sizes)
        along = "" if self.axis == -1 else f"@{self.axis}"
        return f"/{listed}{along}{'-first' if self.skip_first_dim else ''}"

    @property
    @abstractmethod
    def element_bits(self) -> int:
        """Bits of an element without its share of the block's scale."""

    @property
    @abstractmethod
    def scale_bits(self) -> int:
        """Bits of what a block shares."""

    @property
    @abstractmethod
    def _exponents(self) -> tuple[int, int, int]:
        """Least and greatest exponent of a block's greatest magnitude, and what the scale's has more."""

    @abstractmethod
    def _round(self, y: Tensor, dtype: torch.dtype) -> Tensor:
        """Elements of the grid nearest to y = x / scale, which may be overwritten; returned as `dtype`."""

    @property
    @abstractmethod
    def _element_high(self) -> float:
        """Greatest element magnitude, before scaling."""

    def _held_(self, y: Tensor, x: Tensor, dtype: torch.dtype) -> Tensor:
        """y, in place, within what the dtype holds, where x's blocks may have values beyond."""
        return y

    @property
    def _double(self) -> bool:
        """Whether float32 is too narrow to compute in."""
        return False

    @property
    def bits(self) -> float:
        """A whole axis counts as a long block: its share of the scale is left out."""
        sizes = self.block_size if isinstance(self.block_size, tuple) else (self.block_size,)
        elements = math.prod(math.inf if size == -1 else size for size in sizes)
        return self.element_bits + self.scale_bits / elements

    def storage_bits(self, shape: Sequence[int]) -> int:
        tiles = self.tiling(shape)
        return math.prod(tiles.shape) * self.element_bits + tiles.blocks * self.scale_bits

    def tiling(self, shape: Sequence[int]) -> Tiling:
        """The blocks of a tensor of this shape."""
        return tiling(tuple(shape), self.block_size, axis=self.axis, skip_first_dim=self.skip_first_dim)

    def quantize(self, x: Tensor) -> Tensor:
        if x.numel() == 0:
            return x.detach().clone()
        tiles, blocks, scales = self._scaled(x)
        y = self._round(blocks / scales, x.dtype).mul_(scales)
        return tiles.join(self._held_(y, blocks, x.dtype)).to(x.dtype)

    def clipped(self, x: Tensor) -> Tensor:
        if x.numel() == 0:
            return x.isnan()
        tiles, blocks, scales = self._scaled(x)
        return tiles.join(blocks.abs() > scales * self._element_high)

    def _scaled(self, x: Tensor) -> tuple[Tiling, Tensor, Tensor]:
        """x in blocks, and a scale for each."""
        import torch

        tiles = self.tiling(x.shape)
        blocks = tiles.split(working(x, double=self._double))
        greatest = blocks.abs()
        for axis in tiles.within:  # one after the other is far faster than all at once
            greatest = greatest.amax(axis, keepdim=True)
        return tiles, blocks, self._scales(greatest.clamp_max(torch.finfo(x.dtype).max))

    def _scales(self, greatest: Tensor) -> Tensor:
        """The power of two to divide a block's elements by, from its greatest magnitude; NaN from NaN."""
        low, high, shift = self._exponents
        lowest, highest = (-149, 127) if greatest.dtype.itemsize == 4 else (-1022, 1023)
        wide = greatest.double()  # in which subnormal numbers of float32 have exponents of their own
        powers = self._power(wide).clamp_(2.0 ** max(low, lowest - shift), 2.0 ** min(high, highest))
        return powers.mul_(2.0**shift).add_(nan_or_zero(wide)).to(greatest.dtype)

    def _power(self, greatest: Tensor) -> Tensor:
        """The power of two whose exponent counts as that of these magnitudes."""
        return power_below(greatest)
