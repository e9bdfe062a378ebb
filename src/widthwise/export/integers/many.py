"""Why many candidates can't be computed in integers: each node is read once for each way that it differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from torch import fx

from widthwise.core.arrays import IntArray, distinct_rows
from widthwise.export.integers.reading import PASSED, Fixed, Read, Reading
from widthwise.export.integers.steps import Step, Value
from widthwise.spaces.slots import Slot, schemes

if TYPE_CHECKING:
    from widthwise.network.graph import Graph
    from widthwise.network.layer import Layer

CheckStep = Callable[[Step], bool]
Key = tuple[int, ...]
Edge = tuple[fx.Node, fx.Node]  # what is read, and the node that reads it
AS_IT_IS = -1  # in place of a format's number


@dataclass(frozen=True, eq=False)
class _Node:
    """What is known of a node: all that it was found to give, and by what it reads the one that it is.

    inputs: the nodes that it reads. columns: the slots whose formats it follows from. read: from the number
    of what each input gives, then the index of each slot's format, to (the number of what it gives, how many
    reasons it has, the number of the format in which it reads each input).
    """

    node: fx.Node
    inputs: tuple[fx.Node, ...]
    columns: tuple[int, ...]
    gives: list[Read] = field(default_factory=list)
    numbers: dict[object, int] = field(default_factory=dict)
    read: dict[Key, Key] = field(default_factory=dict)

    def number_of(self, value: Read) -> int:
        """Which of all that it gives a value is like."""
        like: object = type(value)
        if isinstance(value, Value):
            like = (value.fraction, value.low, value.high)
        if like not in self.numbers:
            self.numbers[like] = len(self.gives)
            self.gives.append(value)
        return self.numbers[like]


class ReasonsOfMany:
    """For format indices [K, S] of a graph's slots: how many reasons there are against each, [K].

    As `read_program` finds them, by the same reading of each node; what follows from the whole network, and
    not from a node, is none of them. refused: says of a step that was read whether a form can't write it.
    """

    def __init__(self, graph: Graph, slots: Sequence[Slot], *, refused: CheckStep | None = None) -> None:
        self._slots, self._refused, self._own = tuple(slots), refused, graph.schemes
        self._runs = graph.capture != "fx"  # as it is, and so has no graph
        self._layers = {layer.name: layer for layer in graph.layers}
        self._formats: dict[Fixed, int] = {}
        self._nodes: list[_Node] = []
        known: set[fx.Node] = set()
        for node in graph.fx_graph.nodes:
            if node.op == "output":
                continue
            inputs = tuple(other for other in node.all_input_nodes if other in known)
            self._nodes.append(_Node(node, inputs, self._columns(node)))
            known.add(node)

    def __call__(self, chosen: IntArray) -> IntArray:
        """How many reasons."""
        return self.looked(chosen)[0]

    def looked(self, chosen: IntArray) -> tuple[IntArray, dict[Edge, IntArray]]:
        """How many reasons, and by what is read and its reader the number of the format in which it is, [K];
        AS_IT_IS where it is read as it is."""
        counts = np.full(len(chosen), int(self._runs), dtype=np.int64)
        states: dict[fx.Node, IntArray] = {}
        gives: dict[fx.Node, list[Read]] = {}
        edges: dict[Edge, IntArray] = {}
        for known in [] if self._runs else self._nodes:
            reads = [states[node] for node in known.inputs]
            table = np.array([*reads, *chosen.T[list(known.columns)]]).reshape(-1, len(chosen)).T
            rows, which = distinct_rows(table)
            found = [self._read(known, tuple(table[row].tolist()), chosen[row], gives) for row in rows]
            result = np.array(found, dtype=np.int64).reshape(-1, 2 + len(known.inputs))[which]
            states[known.node], gives[known.node] = result[:, 0], known.gives
            counts += result[:, 1]
            edges |= {(node, known.node): result[:, 2 + at] for at, node in enumerate(known.inputs)}
        return counts, edges

    def _read(self, known: _Node, key: Key, row: IntArray, gives: dict[fx.Node, list[Read]]) -> Key:
        if key not in known.read:
            reading = Reading(self._layers, {**self._own, **schemes(self._slots, row)})
            for node, number in zip(known.inputs, key, strict=False):
                reading.values[node] = gives[node][number]
            reading.read(known.node)
            reasons = len(reading.reasons)
            if self._refused is not None:
                reasons += sum(map(self._refused, reading.steps))
            rounded = {
                id(x): self._formats.setdefault(fmt, len(self._formats)) for x, fmt in reading.requantised
            }
            formats = [rounded.get(id(reading.values[node]), AS_IT_IS) for node in known.inputs]
            known.read[key] = (known.number_of(reading.values[known.node]), reasons, *formats)
        return known.read[key]

    def _columns(self, node: fx.Node) -> tuple[int, ...]:
        """The slots that a node's step follows from, beside what it reads."""
        if node.op == "placeholder":
            readers = {layer.name for layer in _readers(node, self._layers)}
            return tuple(
                column
                for column, slot in enumerate(self._slots)
                if slot.tensor == "data_in" and slot.layer in readers
            )
        return tuple(column for column, slot in enumerate(self._slots) if slot.layer == node.name)


def _readers(node: fx.Node, layers: dict[str, Layer]) -> Iterator[Layer]:
    """The layers that may say in which format a number is read."""
    for user in node.users:
        if (layer := layers.get(user.name)) is not None:
            yield layer
            if layer.type in PASSED:
                yield from _readers(user, layers)
