"""Why many candidates can't be written by a form that looks at one layer at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from widthwise.core.arrays import IntArray, distinct_rows
from widthwise.network.scheme import Scheme
from widthwise.spaces.slots import Slot, schemes

if TYPE_CHECKING:
    from widthwise.network.layer import Layer

ReasonsOf = Callable[["Layer", Scheme], Iterable[str]]


@dataclass(frozen=True, eq=False)
class ReasonsByLayer:
    """For format indices [K, S]: how many reasons a form has against the layers' schemes, [K].

    layers: those of the network; own: their schemes by name, where no slot says another.
    """

    layers: Sequence[Layer]
    own: dict[str, Scheme]
    slots: tuple[Slot, ...]
    reasons: ReasonsOf
    known: dict[tuple[str, tuple[int, ...]], int] = field(default_factory=dict)

    def __call__(self, chosen: IntArray) -> IntArray:
        """The counts."""
        counts = np.zeros(len(chosen), dtype=np.int64)
        for layer in self.layers:
            columns = [column for column, slot in enumerate(self.slots) if slot.layer == layer.name]
            own = tuple(self.slots[column] for column in columns)
            rows, which = distinct_rows(chosen[:, columns])
            found = [self._count(layer, own, chosen[row][columns]) for row in rows]
            counts += np.array(found, dtype=np.int64)[which]
        return counts

    def _count(self, layer: Layer, slots: tuple[Slot, ...], row: IntArray) -> int:
        key = layer.name, tuple(row.tolist())
        if key not in self.known:
            scheme = schemes(slots, row).get(layer.name, self.own[layer.name])
            self.known[key] = len(list(self.reasons(layer, scheme)))
        return self.known[key]
