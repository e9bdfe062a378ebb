"""Decisions that mean something only beside certain choices of others: a layer in float has no bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from widthwise.core.arrays import BoolArray, FloatArray, IntArray
from widthwise.spaces.slots import Slot


@runtime_checkable
class Conditional(Protocol):
    """A space some of whose candidates may be the same network, of which one stands for all."""

    def spare(self, candidates: IntArray, /) -> FloatArray:
        """How many decisions of candidates [K, D] mean nothing beside the others and are not at their first
        choice, [K]: 0 for just one of the candidates that are the same network."""
        ...

    @property
    def has_spare(self) -> bool:
        """Whether there are such candidates."""
        ...


class Conditions:
    """Which decisions mean something, by the formats that they pick for slots.

    A decision means nothing in a candidate where no slot's format changes with it, the others as they are.
    Decisions that no slot has always mean something.
    """

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._matters = [
            (column, slot.columns, _changes(slot, axis))
            for slot in slots
            for axis, column in enumerate(slot.columns)
        ]
        self._columns = sorted({column for column, _, _ in self._matters})

    @property
    def any(self) -> bool:
        """Whether some decision means nothing beside some choices."""
        always = {column for column, _, table in self._matters if table.all()}
        return any(column not in always for column in self._columns)

    def spare(self, candidates: IntArray) -> FloatArray:
        """As `Conditional.spare` has it."""
        means = np.zeros(candidates.shape, dtype=bool)
        for column, columns, table in self._matters:
            means[:, column] |= table[tuple(candidates[:, each] for each in columns)]
        spare = (~means & (candidates != 0))[:, self._columns]
        found: FloatArray = spare.sum(axis=1).astype(np.float64)
        return found


def _changes(slot: Slot, axis: int) -> BoolArray:
    """Where the format changes along an axis of the slot's table, in the table's shape."""
    first = np.take(slot.table, [0], axis=axis)
    along = (slot.table != first).any(axis=axis, keepdims=True)
    found: BoolArray = np.broadcast_to(along, slot.table.shape)
    return found
