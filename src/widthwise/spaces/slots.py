"""Slots: the tensors of a network that have formats, fixed or chosen, and which for a batch of candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from widthwise.core.arrays import IntArray
from widthwise.formats.base import Format
from widthwise.network.graph import Graph
from widthwise.network.scheme import Scheme, TensorName

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Slot:
    """One tensor of one layer: the formats that it may have, and which decisions pick one of them."""

    layer: str
    tensor: TensorName
    formats: tuple[Format | None, ...]  # distinct; None is float
    columns: tuple[int, ...] = ()  # the decisions that the format depends on
    table: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros((), np.int64)
    )  # their choice indices -> index into formats

    def choices(self, candidates: IntArray) -> IntArray:
        """Indices into `formats` [K] for candidates [K, D]."""
        if not self.columns:
            return np.full(len(candidates), int(self.table), dtype=np.int64)
        chosen: IntArray = self.table[tuple(candidates[:, column] for column in self.columns)]
        return chosen


def kept_slot(slot: Slot, choices: Sequence[Sequence[int]], places: Mapping[int, int]) -> Slot:
    """A slot where decisions have these choices alone; places: the columns of those that are left."""
    if not slot.columns:
        return slot
    table = slot.table[np.ix_(*(list(choices[column]) for column in slot.columns))]
    used, table = np.unique(table, return_inverse=True)
    shape = [len(choices[column]) for column in slot.columns if column in places]
    return Slot(
        slot.layer,
        slot.tensor,
        tuple(slot.formats[index] for index in used),
        tuple(places[column] for column in slot.columns if column in places),
        table.reshape(shape),
    )


def slot_choices(slots: Sequence[Slot], candidates: IntArray) -> IntArray:
    """The format index of every slot [K, S] for candidates [K, D]: all that a network's values depend on."""
    chosen = np.empty((len(candidates), len(slots)), dtype=np.int64)
    for index, slot in enumerate(slots):
        chosen[:, index] = slot.choices(candidates)
    return chosen


def schemes(slots: Sequence[Slot], chosen: IntArray) -> dict[str, Scheme]:
    """The scheme of each layer that has slots, for one row [S] of format indices."""
    formats: dict[str, dict[TensorName, Format | None]] = {}
    for slot, index in zip(slots, chosen, strict=True):
        formats.setdefault(slot.layer, {})[slot.tensor] = slot.formats[index]
    return {layer: Scheme(**tensors) for layer, tensors in formats.items()}


def fixed_slots(graph: Graph) -> tuple[Slot, ...]:
    """The slots of a graph's own schemes, with nothing to choose."""
    found, own = [], graph.schemes
    for layer in graph.layers:
        scheme = own[layer.name]
        found += [Slot(layer.name, tensor, (scheme[tensor],)) for tensor in layer.tensors if scheme[tensor]]
    return tuple(found)
