"""Stored tensors that several layers read: what each reader after the first has stored beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.formats.base import Format
from widthwise.metrics.cost.counts import FLOAT_BITS
from widthwise.network.layer import Layer
from widthwise.network.scheme import TensorName
from widthwise.spaces.slots import Slot


@dataclass(frozen=True, eq=False)
class _Further:
    """Further copies [K] of a stored tensor, and their bits of an element and in all."""

    element_bits: FloatArray
    tensor_bits: FloatArray
    copies: FloatArray


@dataclass(frozen=True, eq=False)
class Readers:
    """The layers that read one stored tensor, the first of which has it counted.

    columns: the slot of each, None where it is float. formats: which of all their formats each choice is, by
    reader. element_bits, tensor_bits: of each choice, by reader.
    """

    node: int
    tensor: TensorName
    columns: tuple[int | None, ...]
    formats: tuple[IntArray, ...]
    element_bits: tuple[FloatArray, ...]
    tensor_bits: tuple[FloatArray, ...]

    def further(self, chosen: IntArray, *, untied: bool) -> _Further:
        """What readers after the first need that is not stored yet; untied: each has its own."""
        elements, tensors, copies = np.zeros((3, len(chosen)))
        before: list[IntArray] = []
        for column, formats, element_bits, tensor_bits in zip(
            self.columns, self.formats, self.element_bits, self.tensor_bits, strict=True
        ):
            choice = np.zeros(len(chosen), np.int64) if column is None else chosen[:, column]
            own = formats[choice]
            if before:
                alone = untied and column is not None
                another = np.ones(len(own)) if alone else np.all([own != other for other in before], axis=0)
                elements += another * element_bits[choice]
                tensors += another * tensor_bits[choice]
                copies += another
            before.append(own)
        return _Further(elements, tensors, copies)


def shared_tensors(
    layers: Mapping[str, Layer], slots: Sequence[Slot], position: Mapping[str, int]
) -> list[Readers]:
    """The stored tensors that several layers read, where any of these has a slot for it."""
    by_tensor: dict[int | str, list[tuple[Layer, TensorName, tuple[int, ...]]]] = {}
    for layer in layers.values():
        for tensor, stored in layer.stored.items() if layer.tensors else ():
            for one in stored:
                readers = by_tensor.setdefault(one.identity, [])
                readers.append((layer, tensor, tuple(one.whole.shape)))
    columns = {(slot.layer, slot.tensor): column for column, slot in enumerate(slots)}
    found = []
    for readers in by_tensor.values():
        own = [columns.get((layer.name, tensor)) for layer, tensor, _ in readers]
        if len(readers) > 1 and any(column is not None for column in own):
            found.append(_readers(readers, own, slots, position))
    return found


def _readers(
    readers: Sequence[tuple[Layer, TensorName, tuple[int, ...]]],
    columns: Sequence[int | None],
    slots: Sequence[Slot],
    position: Mapping[str, int],
) -> Readers:
    every: list[Format | None] = []
    formats, element_bits, tensor_bits = [], [], []
    for column, (_, _, shape) in zip(columns, readers, strict=True):
        own = (None,) if column is None else slots[column].formats
        every += [fmt for fmt in own if fmt not in every]
        formats.append(np.array([every.index(fmt) for fmt in own], dtype=np.int64))
        element_bits.append(np.array([element_bits_of(fmt) for fmt in own]))
        tensor_bits.append(np.array([storage_bits_of(fmt, shape) for fmt in own]))
    first, tensor, _ = readers[0]
    return Readers(
        position[first.name], tensor, tuple(columns), tuple(formats), tuple(element_bits), tuple(tensor_bits)
    )


def element_bits_of(fmt: Format | None) -> float:
    """Bits of an element on average; of None, a float's."""
    return float(FLOAT_BITS) if fmt is None else fmt.bits


def storage_bits_of(fmt: Format | None, shape: tuple[int, ...]) -> float:
    """Bits of a whole tensor; of None, in float."""
    return FLOAT_BITS * float(np.prod(shape)) if fmt is None else float(fmt.storage_bits(shape))
