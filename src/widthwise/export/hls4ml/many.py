"""Why many candidates can't be written for hls4ml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from widthwise.core.arrays import IntArray, distinct_rows
from widthwise.export.hls4ml.layers import refusals
from widthwise.export.integers.many import AS_IT_IS, Edge, ReasonsOfMany
from widthwise.export.integers.passes import quantised_early
from widthwise.export.integers.reading import read_program
from widthwise.spaces.slots import schemes

if TYPE_CHECKING:
    from torch import fx

    from widthwise.network.graph import Graph
    from widthwise.spaces.slots import Slot


@dataclass(frozen=True, eq=False)
class HlsReasons:
    """Format indices [K, S] of a graph's slots to how many reasons there are against each, [K].

    hls4ml has one type for what a layer gives. Whether its readers agree on one follows from which of them
    round it, and which of these do so alike: a network is read whole once for each way that this is.
    """

    graph: Graph
    slots: tuple[Slot, ...]
    alone: ReasonsOfMany
    known: dict[tuple[int, ...], int] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: Graph, slots: Sequence[Slot]) -> HlsReasons:
        """Of a graph's slots."""
        return cls(graph, tuple(slots), ReasonsOfMany(graph, slots))

    def __call__(self, chosen: IntArray) -> IntArray:
        """How many reasons."""
        counts, edges = self.alone.looked(chosen)
        left = np.flatnonzero(counts == 0)
        if not len(left) or not edges:
            return counts
        table = np.column_stack([column[left] for column in _alike(edges)])
        rows, which = distinct_rows(table)
        found = [self._reasons(tuple(table[row].tolist()), chosen[left[row]]) for row in rows]
        counts[left] = np.array(found, dtype=np.int64)[which]
        return counts

    def _reasons(self, key: tuple[int, ...], row: IntArray) -> int:
        if key not in self.known:
            program, reasons = read_program(self.graph.quantized(schemes(self.slots, row)))
            self.known[key] = len(reasons if program is None else refusals(quantised_early(program)))
        return self.known[key]


def _alike(edges: dict[Edge, IntArray]) -> list[IntArray]:
    """By edge [K]: 0 where it is read as it is, else 1 more than the first reader that reads it alike."""
    readers: dict[fx.Node, list[IntArray]] = {}
    for (node, _), formats in edges.items():
        readers.setdefault(node, []).append(formats)
    found = []
    for each in readers.values():
        together = np.array(each)  # [readers, K]
        for formats in each:
            first = (together == formats).argmax(axis=0) + 1
            found.append(np.where(formats == AS_IT_IS, 0, first))
    return found
