"""Which channels of a network in fixed point can go, so that all outputs stay as they are to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.nn.modules.conv import _ConvNd

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.formats.integer_each import IntegerEach
from widthwise.network.pruning.flow import Flow, Weighted
from widthwise.network.scheme import Scheme
from widthwise.network.widths.groups import ELSEWHERE, Group, Groups, Layout, Member
from widthwise.network.widths.kinds import is_depthwise

Mask = NDArray[np.bool_]
BIAS_BITS = 22  # of a bias that takes in what its layer reads of channels that never change


@dataclass(frozen=True, eq=False)
class Reader:
    """A layer that multiplies, with the places of its channels.

    alike: whether each output belongs to one input and goes with it, whatever is read of that.
    folds: whether what it reads of channels that never change can go into its bias, exactly.
    """

    layer: Weighted
    inputs: Layout
    outputs: Layout
    alike: bool
    folds: bool


def readers(flow: Flow, groups: Groups, schemes: Mapping[str, Scheme]) -> dict[str, Reader]:
    """The layers that multiply, by name."""
    found = {}
    for name, layer in flow.layers.items():
        alike = isinstance(layer.module, _ConvNd) and is_depthwise(layer.module)
        inputs = _layout(groups, Member(layer.owner, "in"), layer.weight.shape[1])
        outputs = _layout(groups, Member(layer.owner, "out"), len(layer.weight))
        folds = not layer.pads and not alike and _folds(layer, schemes[name])
        found[name] = Reader(layer, inputs, outputs, alike, folds)
    return found


def kept_units(groups: Groups, found: Mapping[str, Reader]) -> dict[str, IntArray]:
    """The units of each group that stay, by its name, where some go.

    A unit goes where every layer that reads it has no bits of it, multiplies it by zero, or can have what it
    adds, the same for every input, in its bias. Each block of a group keeps as many, and one at least.
    """
    stays: list[Mask] = [np.ones(group.size, dtype=bool) for group in groups.groups]
    free = [number for number, group in enumerate(groups.groups) if _is_known(group, found)]
    changed = True
    while changed:
        changed = False
        for number in reversed(free):
            needed = _needed(number, stays, found)
            left = _by_block(groups.groups[number], needed, stays[number])
            changed |= bool((left != stays[number]).any())
            stays[number] &= left
    return {
        group.name: np.flatnonzero(mask)
        for group, mask in zip(groups.groups, stays, strict=True)
        if not mask.all()
    }


def _is_known(group: Group, found: Mapping[str, Reader]) -> bool:
    """Whether all that makes the channels of a group multiplies as it is known here."""
    owners = {reader.layer.owner for reader in found.values()}
    return all(name in owners for name in group.producers)


def _needed(number: int, stays: list[Mask], found: Mapping[str, Reader]) -> Mask:
    """Which units of a group some layer needs, of the rows that stay."""
    needed = np.zeros(len(stays[number]), dtype=bool)
    for reader in found.values():
        here = reader.inputs.group == number
        if reader.alike or not here.any():
            continue
        layer = reader.layer
        rows = _staying(reader.outputs, stays)
        used = (layer.weight[rows] != 0).any((0, 2))
        varies = np.isnan(layer.reads)
        some = varies if reader.folds else varies | (np.nan_to_num(layer.reads) != 0)
        needed[reader.inputs.unit[here & used & some]] = True
    return needed & stays[number]


def _staying(layout: Layout, stays: list[Mask]) -> Mask:
    """Which channels of a side stay."""
    found = np.ones(len(layout.group), dtype=bool)
    for number in np.unique(layout.group[layout.group != ELSEWHERE]):
        here = layout.group == number
        found[here] = stays[int(number)][layout.unit[here]]
    return found


def _by_block(group: Group, needed: Mask, there: Mask) -> Mask:
    """What stays so that each block has as many units, and one at least: those needed, then the first of
    those that are there."""
    by_block = needed.reshape(group.blocks, -1)
    most = max(int(by_block.sum(1).max()), 1)
    rank = 2 * by_block + there.reshape(group.blocks, -1)
    order = np.argsort(-rank, axis=1, kind="stable")[:, :most]
    found = np.zeros_like(by_block)
    np.put_along_axis(found, order, True, axis=1)
    return found.reshape(-1)


def _layout(groups: Groups, member: Member, count: int) -> Layout:
    nowhere = np.full(count, ELSEWHERE)
    return groups.layouts.get(member, Layout(nowhere, nowhere))


def _folds(layer: Weighted, scheme: Scheme) -> bool:
    """Whether the bias can take in any of what never changes, in codes that its format may have."""
    if not isinstance(scheme.bias, IntegerEach) or getattr(layer.module, "bias", None) is None:
        return False
    every = np.concatenate([layer.shares, layer.bias[:, None]], axis=1)
    return bias_fraction(every) is not None


def bias_fraction(parts: FloatArray) -> int | None:
    """Bits behind the point with which all sums of some of these numbers [outputs, ...] are whole; None where
    they would take more than BIAS_BITS."""
    most = np.abs(parts).sum(1).max(initial=0.0)
    for fraction in range(-BIAS_BITS, 2 * BIAS_BITS):
        if most * 2.0**fraction >= 2.0**BIAS_BITS:
            return None
        scaled = parts * 2.0**fraction
        if (scaled == np.rint(scaled)).all():
            return fraction
    return None
