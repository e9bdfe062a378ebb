"""A space by its tensors: one decision for each of them, whose choices are its formats and float."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from widthwise.core.arrays import IntArray
from widthwise.spaces.correcting import paired_slots, unpaired_slots
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.slots import Slot
from widthwise.spaces.space import Decision, Space

FLOAT = "float"


@dataclass(frozen=True, eq=False)
class ByTensor:
    """space: a decision "layer/tensor" for each tensor; those that the given space ties are one.

    groups: the given slots that each decision is about. cells: of each decision the cell of the slots' tables
    that each choice stands for, None for float.
    """

    given: QuantisationSpace
    space: QuantisationSpace
    groups: tuple[tuple[Slot, ...], ...]
    cells: tuple[tuple[tuple[int, ...] | None, ...], ...]

    @property
    def in_float(self) -> IntArray:
        """The candidate [D] that leaves every tensor in float."""
        return np.array([cells.index(None) for cells in self.cells], dtype=np.int64)

    def of(self, candidate: IntArray) -> IntArray:
        """The candidate [D] of this space that a candidate of the given one is."""
        found = []
        for group, cells in zip(self.groups, self.cells, strict=True):
            cell = tuple(int(candidate[column]) for column in group[0].columns)
            wanted = _formats(group, cell)
            kept = [None if one is None else _formats(group, one) for one in cells]
            found.append(kept.index(wanted) if wanted in kept else kept.index(None))
        return np.array(found, dtype=np.int64)


def by_tensor(given: QuantisationSpace) -> ByTensor:
    """The space's tensors, each to be given any of its formats, or none, whatever the others have.

    A bias that is corrected makes up for what its weight has.
    """
    plain, corrected = unpaired_slots(given.slots)
    groups: dict[tuple[object, ...], list[Slot]] = {}
    for slot in plain:
        groups.setdefault((slot.columns or slot.layer, slot.tensor), []).append(slot)
    decisions, slots, cells = [], [], []
    for column, group in enumerate(groups.values()):
        own = _distinct(group)
        cells.append((*own, None))
        shown = [repr(group[0].formats[group[0].table[cell]]) for cell in own]
        name = "+".join(dict.fromkeys(slot.layer for slot in group)) + f"/{group[0].tensor}"
        decisions.append(Decision(name, (*shown, FLOAT)))
        slots += [_slot(slot, column, own) for slot in group]
    order = {(slot.layer, slot.tensor): place for place, slot in enumerate(plain)}
    slots.sort(key=lambda slot: order[slot.layer, slot.tensor])
    made, own_slots = copy.copy(given), paired_slots(slots, corrected)
    for name in [name for name, value in vars(Space).items() if isinstance(value, cached_property)]:
        made.__dict__.pop(name, None)
    for name, value in (
        ("decisions", tuple(decisions)),
        ("slots", own_slots),
        ("fields", {}),
    ):
        object.__setattr__(made, name, value)
    return ByTensor(given, made, tuple(map(tuple, groups.values())), tuple(cells))


def _distinct(group: list[Slot]) -> list[tuple[int, ...]]:
    """A cell of the tables for each distinct combination of formats but all float."""
    found: dict[tuple[object, ...], tuple[int, ...]] = {}
    for cell in np.ndindex(group[0].table.shape):
        formats = _formats(tuple(group), cell)
        if any(fmt is not None for fmt in formats):
            found.setdefault(formats, cell)
    return list(found.values())


def _formats(group: tuple[Slot, ...], cell: tuple[int, ...]) -> tuple[object, ...]:
    return tuple(slot.formats[slot.table[cell]] for slot in group)


def _slot(slot: Slot, column: int, cells: list[tuple[int, ...]]) -> Slot:
    """The slot decided by one column, whose last choice is float."""
    chosen = [slot.formats[slot.table[cell]] for cell in cells] + [None]
    formats = tuple(dict.fromkeys(chosen))
    table = np.array([formats.index(fmt) for fmt in chosen], dtype=np.int64)
    return Slot(slot.layer, slot.tensor, formats, (column,), table)
