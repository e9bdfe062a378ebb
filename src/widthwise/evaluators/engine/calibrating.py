"""Calibrating slots: the float network runs on training samples, block by block within a share of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from widthwise.core.steps import step
from widthwise.data.blocks import DataBlock
from widthwise.network.calibration import Formats, fixed_by_stored
from widthwise.network.calling import as_example
from widthwise.network.graph import Graph
from widthwise.network.passes.adaptive_rounding import with_directions
from widthwise.network.passes.bias_correction import with_corrections
from widthwise.network.passes.calibrate import fixed_by_data
from widthwise.network.passes.metadata import NodeMeta
from widthwise.network.reading import Reader
from widthwise.spaces.slots import Slot

SAMPLES = 1024
ALIKE = 32  # samples of a block where sums have to be the same each time
SHARE = 16  # of the memory, that what one call reads and gives may take: several live at once


@dataclass(frozen=True, eq=False)
class Calibration:
    """The samples to calibrate on: at most SAMPLES of a loader in blocks of `size`.

    room: bytes in which they are kept for a second reading; where they have more, they are read again.
    """

    loader: Callable[[], Iterable[Any]]
    reader: Reader
    size: int
    room: int

    def blocks(self) -> Iterator[DataBlock]:
        """A fresh reading."""
        return self.reader.blocks(self.loader(), samples=self.size, most=self.most)

    @property
    def most(self) -> int | None:
        """Of whole batches one at least is taken, however large."""
        if not self.reader.whole_because:
            return SAMPLES
        return max(SAMPLES, len(next(self.reader.batches(self.loader()))))

    def slots(self, graph: Graph, slots: Sequence[Slot]) -> tuple[Slot, ...]:
        """The slots with what follows the data fixed: by the parameters' values, and by what layers read."""
        formats = {slot.layer: slot.formats for slot in slots if slot.tensor == "data_in"}
        fixed = fixed_by_data(graph, formats, self._inputs()) if _may_follow(formats) else formats
        layers = {layer.name: layer for layer in graph.layers}
        stored: dict[tuple[str, str], Formats] = {
            (slot.layer, slot.tensor): fixed_by_stored(slot.formats, layers[slot.layer], slot.tensor)
            for slot in slots
            if slot.tensor != "data_in"
        }
        weights = {layer: own for (layer, tensor), own in stored.items() if tensor == "weight"}
        rounded = with_directions(graph, weights, self._inputs_alike())
        stored |= {(layer, "weight"): own for layer, own in rounded.items()}
        biases = {layer: own for (layer, tensor), own in stored.items() if tensor == "bias"}
        corrected = with_corrections(graph, biases, _fixed_weights(slots, rounded), self._inputs_alike())
        stored |= {(layer, "bias"): own for layer, own in corrected.items()}
        stored |= {(layer, "data_in"): own for layer, own in fixed.items()}
        return tuple(replace(slot, formats=stored[slot.layer, slot.tensor]) for slot in slots)

    def _inputs_alike(self) -> Callable[[], Iterator[Any]]:
        """Inputs in blocks of one size, whatever the memory: sums over others differ in their last bits."""
        alike = replace(self, size=min(self.size, ALIKE))
        return lambda: (as_example(self.reader.takes, block.inputs) for block in alike.blocks())

    def _inputs(self) -> Callable[[], Iterator[Any]]:
        """What gives the inputs of the blocks each time, kept where they have room."""
        kept: list[DataBlock] | None = []
        room, takes = self.room, self.reader.takes

        def read() -> Iterator[Any]:
            nonlocal kept, room
            if kept:
                yield from (as_example(takes, block.inputs) for block in kept)
                return
            seen = 0
            for block in self.blocks():
                step("calibrating formats, samples", seen, SAMPLES)
                seen += len(block)
                room -= block.nbytes
                kept = [*kept, block] if kept is not None and room >= 0 else None
                yield as_example(takes, block.inputs)

        return read


def block_samples(metas: Mapping[str, NodeMeta], samples: int, memory: int) -> int:
    """Samples of a block, such that no call reads and gives more than its share of the memory.

    metas: of the network's nodes as they ran on so many samples.
    """
    widest = max((_nbytes(meta) for meta in metas.values()), default=0) / samples
    return max(1, min(SAMPLES, int(memory / SHARE / max(widest, 1))))


def _nbytes(meta: NodeMeta) -> int:
    return sum(x.nbytes for x in (*meta.inputs, *meta.outputs))


def _fixed_weights(slots: Sequence[Slot], fixed: Mapping[str, Formats]) -> dict[str, dict[Any, Any]]:
    """By layer, of each format that its weight may have the one that it was fixed to."""
    return {
        slot.layer: dict(zip(slot.formats, fixed[slot.layer], strict=True))
        for slot in slots
        if slot.tensor == "weight"
    }


def _may_follow(formats: Mapping[str, tuple[Any, ...]]) -> bool:
    return any(fmt is not None and not fmt.elementwise for each in formats.values() for fmt in each)
