"""Slots of corrected biases: their formats go with those of the weights whose rounding they make up for."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace

import numpy as np

from widthwise.core.errors import UserError
from widthwise.formats.base import Format
from widthwise.formats.corrected import Corrected, uncorrected
from widthwise.network.graph import Graph
from widthwise.network.passes.bias_correction import why_not_corrected
from widthwise.spaces.slots import Slot

SHOWN = 3  # reasons in a line


def corrected_slots(graph: Graph, slots: Sequence[Slot]) -> tuple[tuple[Slot, ...], dict[str, str]]:
    """The slots, those of biases with formats for each pair of a weight's and a bias's; a bias without a slot
    gets one. And, by layer, why a bias is not corrected though the layer's weight is rounded.

    Raises UserError where none can be.
    """
    layers = {layer.name: layer for layer in graph.layers}
    weights = [slot.layer for slot in slots if slot.tensor == "weight" and any(slot.formats)]
    why_not = {name: why_not_corrected(graph, layers[name]) for name in weights}
    left = {name: why for name, why in why_not.items() if why}
    if len(left) == len(weights):
        reasons = "; ".join(f"{name}: {why}" for name, why in list(left.items())[:SHOWN])
        why = reasons or "the rules keep all weights in float"
        raise UserError(f"bias_correction: no layer's bias can be corrected: {why}; leave it out")
    return paired_slots(slots, why_not.keys() - left.keys()), left


def paired_slots(slots: Sequence[Slot], layers: Set[str]) -> tuple[Slot, ...]:
    """The slots, those of the biases of these layers corrected; a bias without a slot gets one."""
    biases = {slot.layer for slot in slots if slot.tensor == "bias"}
    weights = {slot.layer: slot for slot in slots if slot.tensor == "weight" and slot.layer in layers}
    found: list[Slot] = []
    for slot in slots:
        own = weights.get(slot.layer)
        found.append(_of_pairs(own, slot) if own is not None and slot.tensor == "bias" else slot)
        if slot is own and slot.layer not in biases:
            found.append(_of_pairs(slot, Slot(slot.layer, "bias", (None,))))
    return tuple(found)


def unpaired_slots(slots: Sequence[Slot]) -> tuple[tuple[Slot, ...], set[str]]:
    """The slots with biases as they are, those left out that are in float anyhow; which layers had one
    corrected."""
    layers = {slot.layer for slot in slots if any(isinstance(fmt, Corrected) for fmt in slot.formats)}
    plain = [
        replace(slot, formats=tuple(map(uncorrected, slot.formats))) if slot.tensor == "bias" else slot
        for slot in slots
    ]
    return tuple(slot for slot in plain if slot.layer not in layers or any(slot.formats)), layers


def _of_pairs(weight: Slot, bias: Slot) -> Slot:
    """The slot of a bias whose format depends on the weight's decisions, then on its own."""
    columns = list(dict.fromkeys([*weight.columns, *bias.columns]))
    counts = dict(zip(weight.columns, weight.table.shape, strict=True))
    counts |= zip(bias.columns, bias.table.shape, strict=True)
    shape = tuple(counts[column] for column in columns)
    formats: list[Format | None] = []
    table = np.zeros(shape, dtype=np.int64)
    for indices in np.ndindex(shape):
        cell = dict(zip(columns, indices, strict=True))
        fmt = _pair(_at(weight, cell), _at(bias, cell))
        if fmt not in formats:
            formats.append(fmt)
        table[indices] = formats.index(fmt)
    return Slot(bias.layer, "bias", tuple(formats), tuple(columns), table)


def _at(slot: Slot, cell: dict[int, int]) -> Format | None:
    return slot.formats[int(slot.table[tuple(cell[column] for column in slot.columns)])]


def _pair(weight: Format | None, bias: Format | None) -> Format | None:
    return bias if weight is None else Corrected(bias, weight)
