"""What the time of a candidate in formats follows from: which of its tensors need steps of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from widthwise.core.arrays import BoolArray, IntArray
from widthwise.export.in_bytes import room
from widthwise.formats.corrected import uncorrected
from widthwise.formats.integer import Integer
from widthwise.network.exactness import codes_of

if TYPE_CHECKING:
    from widthwise.formats.base import Format
    from widthwise.network.graph import Graph
    from widthwise.network.scheme import TensorName
    from widthwise.network.stored import Stored
    from widthwise.spaces.slots import Slot

BYTE_BITS = 8


class FormatStructures:
    """The structures of candidates by the formats of their slots, as the layout qdq writes these.

    A column a layer and kind of step: whether its input is cut (0: fills an unsigned byte; 1: a signed one,
    which ReLU cuts; 2: is narrower), whether its bias is finer than its products, in how many formats layers
    read one tensor. Nothing else changes what runs: a byte takes what a byte takes, whatever it stands for.
    """

    def __init__(self, graph: Graph, slots: Sequence[Slot]) -> None:
        self._inputs = [at for at, slot in enumerate(slots) if slot.tensor == "data_in"]
        self._cuts = [np.array([_cut(fmt) for fmt in slots[at].formats]) for at in self._inputs]
        places = {(slot.layer, slot.tensor): at for at, slot in enumerate(slots)}
        self._biases = [
            (places[layer, "data_in"], places[layer, "weight"], at)
            for (layer, tensor), at in places.items()
            if tensor == "bias" and {(layer, "data_in"), (layer, "weight")} <= places.keys()
        ]
        self._slots = tuple(slots)
        stored = {layer.name: layer.stored for layer in graph.layers}
        self._stored = {
            at: _of_stored(slots[at], stored[slots[at].layer]) for _, *pair in self._biases for at in pair
        }
        self._shared = _readers(graph, places)

    def __call__(self, chosen: IntArray) -> IntArray:
        """[K, F] for format indices [K, S]."""
        columns = [cuts[chosen[:, at]] for at, cuts in zip(self._inputs, self._cuts, strict=True)]
        columns += [self._is_finer(chosen, *places).astype(np.int64) for places in self._biases]
        columns += [self._distinct(chosen, places) for places in self._shared]
        if not columns:
            return np.zeros((len(chosen), 1), dtype=np.int64)
        return np.stack(columns, axis=1)

    def _is_finer(self, chosen: IntArray, data_in: int, weight: int, bias: int) -> BoolArray:
        """Whether biases lie so far behind the products that weights can't make up for it."""
        inputs = np.array([_fraction(fmt) for fmt in self._slots[data_in].formats])[chosen[:, data_in]]
        weights, room = (column[chosen[:, weight]] for column in self._stored[weight].T)
        biases = self._stored[bias][chosen[:, bias], 0]
        finer: BoolArray = biases - inputs - weights > room
        return finer

    def _distinct(self, chosen: IntArray, places: Sequence[int]) -> IntArray:
        numbers: dict[Format | None, int] = {}
        found = np.stack(
            [
                np.array([numbers.setdefault(fmt, len(numbers)) for fmt in self._slots[at].formats])[
                    chosen[:, at]
                ]
                for at in places
            ],
            axis=1,
        )
        found.sort(axis=1)
        counts: IntArray = 1 + (np.diff(found, axis=1) != 0).sum(axis=1)
        return counts


def _cut(fmt: Format | None) -> int:
    if not isinstance(fmt, Integer) or fmt.width != BYTE_BITS:
        return 2
    return int(fmt.codes[0] < 0)


def _fraction(fmt: Format | None) -> int:
    fmt = uncorrected(fmt)
    return fmt.fraction if isinstance(fmt, Integer) and not fmt.is_auto else 0


def _of_stored(slot: Slot, stored: Mapping[TensorName, Sequence[Stored]]) -> IntArray:
    """Of a stored tensor in each format [formats, 2]: bits behind the point, and how many more its codes can
    be given."""
    values, found = stored[slot.tensor][0].value, []
    for fmt in slot.formats:
        made = None if fmt is None else codes_of(fmt, fmt.calibrated(values).quantize(values))
        found.append((0, 0) if made is None else (made[1], room(made[0])))
    return np.array(found)


def _readers(graph: Graph, places: Mapping[tuple[str, TensorName], int]) -> list[list[int]]:
    """The slots of layers that read the same tensor, where several do."""
    by_source: dict[object, list[int]] = {}
    for layer in graph.layers:
        if (layer.name, "data_in") in places and layer.node.all_input_nodes:
            by_source.setdefault(layer.node.all_input_nodes[0], []).append(places[layer.name, "data_in"])
    return [found for found in by_source.values() if len(found) > 1]
