"""Scales as numbers in a format: tuples that hash, one value for a tensor or one for each part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widthwise.core.errors import UserError
from widthwise.formats.base import Sign, check_number
from widthwise.formats.tiling import Tiling

if TYPE_CHECKING:
    from torch import Tensor

SCALE_BITS = 32  # what storing one takes: a float32


def as_scales(name: str, key: str, value: object, allowed: Sign = "above 0") -> tuple[float, ...] | None:
    """A number or a list of them as a tuple, None as it is; raises UserError for what is no such number."""
    if value is None:
        return None
    numbers = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not numbers:
        raise UserError(f"{name}: {key} is empty; allowed: a number, or a list of them")
    for number in numbers:
        check_number(name, key, number, allowed)
    return tuple(float(number) for number in numbers)


def fixed(value: tuple[float, ...] | float | str | None) -> tuple[float, ...] | None:
    """A field that `as_scales` has read: a tuple, or None where nothing is fixed."""
    return value if isinstance(value, tuple) else None


def as_table(values: tuple[float, ...], tiles: Tiling, like: Tensor, name: str) -> Tensor:
    """The values, cut to what the dtype reaches, as a tensor that broadcasts against blocks.

    Raises UserError where their numbers differ.
    """
    import torch

    if len(values) not in (1, tiles.blocks):
        found = f"{name} is fixed for {len(values)} parts, but a tensor of shape {list(tiles.shape)}"
        raise UserError(f"{found} has {tiles.blocks}; calibrate it on a tensor like this one")
    table = torch.tensor(values, dtype=torch.float64).clamp_max(torch.finfo(like.dtype).max).to(like)
    return table.reshape(tiles.table_shape if len(values) > 1 else ())


def as_values(table: Tensor) -> tuple[float, ...]:
    """The numbers of a table, exactly."""
    return tuple(table.flatten().tolist())


def greatest(blocks: Tensor, tiles: Tiling) -> Tensor:
    """The greatest value of each part but NaN, from zero to the greatest finite one."""
    import torch

    blocks = blocks.nan_to_num(nan=0.0)
    greatest = blocks.amax(tiles.within, keepdim=True) if tiles.within else blocks
    return greatest.clamp(0.0, torch.finfo(blocks.dtype).max)


def usable(scales: Tensor) -> Tensor:
    """Scales to divide by: at least the least normal number, and 1 instead of 0."""
    import torch

    return torch.where(scales == 0, 1.0, scales.clamp_min(torch.finfo(scales.dtype).tiny))
