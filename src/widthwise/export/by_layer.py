"""Figures of many candidates for forms that look at one layer at a time: sums over layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray, distinct_rows
from widthwise.network.scheme import Scheme
from widthwise.spaces.slots import Slot, schemes

if TYPE_CHECKING:
    from widthwise.network.layer import Layer

ReasonsOf = Callable[["Layer", Scheme], Iterable[str]]


@dataclass(frozen=True, eq=False)
class SumByLayer:
    """For format indices [K, S]: the sums of a figure of layers and their schemes, [K].

    layers: those of the network; own: their schemes by name, where no slot says another. figure: asked once
    for each layer and scheme.
    """

    layers: Sequence[Layer]
    own: dict[str, Scheme]
    slots: tuple[Slot, ...]
    figure: Callable[[Layer, Scheme], float]
    known: dict[tuple[str, tuple[int, ...]], float] = field(default_factory=dict)

    def __call__(self, chosen: IntArray) -> FloatArray:
        """The sums."""
        total = np.zeros(len(chosen))
        for layer in self.layers:
            columns, own = self._own(layer)
            rows, which = distinct_rows(chosen[:, columns])
            found = [self._figure(layer, own, chosen[row][columns]) for row in rows]
            total += np.array(found, dtype=np.float64)[which]
        return total

    def of_every(self, layer: Layer) -> Iterator[float]:
        """The figures of a layer in each combination of its formats."""
        _, own = self._own(layer)
        for row in product(*(range(len(slot.formats)) for slot in own)):
            yield self._figure(layer, own, np.array(row, dtype=np.int64))

    def _own(self, layer: Layer) -> tuple[list[int], tuple[Slot, ...]]:
        columns = [column for column, slot in enumerate(self.slots) if slot.layer == layer.name]
        return columns, tuple(self.slots[column] for column in columns)

    def _figure(self, layer: Layer, slots: tuple[Slot, ...], row: IntArray) -> float:
        key = layer.name, tuple(row.tolist())
        if key not in self.known:
            scheme = schemes(slots, row).get(layer.name, self.own[layer.name])
            self.known[key] = float(self.figure(layer, scheme))
        return self.known[key]


@dataclass(frozen=True, eq=False)
class ReasonsByLayer:
    """For format indices [K, S]: how many reasons a form has against the layers' schemes, [K].

    layers, own: as of SumByLayer.
    """

    layers: Sequence[Layer]
    own: dict[str, Scheme]
    slots: tuple[Slot, ...]
    reasons: ReasonsOf
    summed: SumByLayer = field(init=False)

    def __post_init__(self) -> None:
        summed = SumByLayer(self.layers, self.own, self.slots, lambda *of: len(list(self.reasons(*of))))
        object.__setattr__(self, "summed", summed)

    def __call__(self, chosen: IntArray) -> IntArray:
        """The counts."""
        return self.summed(chosen).astype(np.int64)
