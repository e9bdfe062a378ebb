"""From a group's new size to the old channels of every side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.network.widths.channels import FRESH, Channels
from widthwise.network.widths.groups import Group, Groups, Layout
from widthwise.network.widths.kinds import is_depthwise, mixes_channels


@dataclass(frozen=True, eq=False)
class Change:
    """What becomes of a group: the old unit of each new one, [new size], FRESH for new units."""

    sources: IntArray
    split: bool = False  # units that stand there several times share out what reads them


def shrunk(group: Group, size: int, scores: FloatArray) -> Change:
    """The units of highest score [units], as many of each block, in their old order."""
    keep, each = size // group.blocks, group.size // group.blocks
    by_block = scores.reshape(group.blocks, each)
    best = np.sort(np.argsort(-by_block, axis=1, kind="stable")[:, :keep], axis=1)
    return Change((best + each * np.arange(group.blocks)[:, None]).ravel())


def grown(group: Group, size: int, scores: FloatArray, *, split: bool) -> Change:
    """The old units, and in each block new ones, or copies of its units with the highest scores."""
    each, wanted = group.size // group.blocks, size // group.blocks
    by_block = scores.reshape(group.blocks, each)
    order = np.argsort(-by_block, axis=1, kind="stable") + each * np.arange(group.blocks)[:, None]
    old = np.arange(group.size).reshape(group.blocks, each)
    if split:
        added = order[:, np.arange(wanted - each) % each]
    else:
        added = np.full((group.blocks, wanted - each), FRESH)
    return Change(np.concatenate([old, added], axis=1).ravel(), split)


def check_size(group: Group, size: int) -> None:
    """Raises UserError for a size that the group can't have, with the nearest that it can."""
    if isinstance(size, bool) or not isinstance(size, int | np.integer):
        raise UserError(f"{group.name}: size {size!r} is no whole number")
    if size < 1:
        raise UserError(f"{group.name}: {size} channels; a group needs at least {group.blocks}")
    if size % group.blocks:
        raise UserError(
            f"{group.name}: can't have {size} channels: its layers divide them into {group.blocks} equal "
            f"parts; the nearest that works is {group.nearest_size(int(size))}"
        )


def must_split(model: nn.Module, groups: Groups, group: Group) -> bool:
    """Whether growing has to copy units: new ones would disturb the others, or have no clear place."""
    modules = dict(model.named_modules())
    number = groups.index(group)
    if group.name in groups.averaged:
        return True
    for member in group.members:
        module = modules.get(member.owner)
        if module is None or mixes_channels(module):
            return True
        if member.side == "in" and is_depthwise(module):
            continue
        if not _sweeps_are_whole(groups.layouts[member], number, group.size):
            return True
    return False


def keeps_statistics(model: nn.Module, groups: Groups, group: Group, size: int) -> bool:
    """Whether norms over the channels see the same mean and variance after growing to this size."""
    modules = dict(model.named_modules())
    kinds = nn.LayerNorm | nn.RMSNorm | nn.GroupNorm
    norms = group.name in groups.averaged
    norms |= any(isinstance(modules.get(m.owner), kinds) for m in group.members)
    return not norms or size <= group.size or size % group.size == 0


def side_channels(layout: Layout, changes: Mapping[int, Change]) -> Channels | None:
    """The old channels of a side after the changes, by group number; None where they don't touch it."""
    if not any(number in changes for number in set(layout.group.tolist())):
        return None
    pieces, split = [], False
    for start, stop in _sweeps(layout):
        change = changes.get(int(layout.group[start]))
        if change is None:
            pieces.append(np.arange(start, stop))
            continue
        split |= change.split
        pieces.append(_piece(layout.unit[start:stop], start, change.sources))
    return Channels(torch.from_numpy(np.concatenate(pieces).astype(np.int64)), split)


def _piece(units: IntArray, start: int, sources: IntArray) -> IntArray:
    """The new channels of a sweep of ascending units, each of which stands there equally often."""
    present, counts = np.unique(units, return_counts=True)
    repeats = int(counts[0])
    here = sources[np.isin(sources, present) | (sources == FRESH)]
    first = start + np.searchsorted(units, here)
    channels = first[:, None] + np.arange(repeats)
    return np.where((here == FRESH)[:, None], FRESH, channels).ravel()


def _sweeps(layout: Layout) -> list[tuple[int, int]]:
    """Stretches of one group in which the units ascend."""
    new_group = np.diff(layout.group) != 0
    falling = np.diff(layout.unit) < 0
    cuts = np.flatnonzero(new_group | falling) + 1
    return list(zip([0, *cuts], [*cuts, len(layout.group)], strict=True))


def _sweeps_are_whole(layout: Layout, number: int, size: int) -> bool:
    return all(
        len(np.unique(layout.unit[start:stop])) == size
        for start, stop in _sweeps(layout)
        if layout.group[start] == number
    )
