"""Costs of a batch of candidates: what each node takes and the bits of its tensors, by table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.evaluators.engine.by_part import ByPart, Kind
from widthwise.evaluators.engine.shared_tensors import element_bits_of, shared_tensors, storage_bits_of
from widthwise.formats.base import Format
from widthwise.formats.corrected import uncorrected
from widthwise.formats.exact import significant_bits
from widthwise.formats.hull import hull_of
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.cost.counts import FLOAT_BITS, NodeBits, NodeCounts
from widthwise.metrics.cost.formulas import GivesReasons, KeepsTables, cost_metrics, cost_of_graph
from widthwise.metrics.cost.sizes import layer_choices
from widthwise.metrics.cost.table import Choice, Choices, CostTable, Tables, combinations
from widthwise.network.counting import NodeCost
from widthwise.network.graph import Graph
from widthwise.network.layer import Layer
from widthwise.network.scheme import TensorName
from widthwise.spaces.slots import Slot

CHUNK = 4096  # candidates at a time: five tables [K, N] of floats


class NeedsWeightsError(Exception):
    """The cost follows from the values of weights, which are not known yet."""


class Costs:
    """Cost metrics of one graph with slots.

    untied: stored tensors are stored for each of their readers. written: the slots before they were
    calibrated, whose formats tables of costs name. example: inputs of the graph, for costs of its logic.
    """

    def __init__(
        self,
        graph: Graph,
        slots: Sequence[Slot],
        nodes: Sequence[NodeCost],
        compare_to: float,
        *,
        untied: bool = False,
        written: Sequence[Slot] = (),
        example: tuple[Tensor, ...] = (),
    ) -> None:
        self.graph, self.slots, self.example = graph, tuple(slots), example
        self._of_graph: dict[str, Callable[[IntArray], FloatArray]] = {}
        self.in_common: dict[str, object] = {}
        self.nodes, self.counts = list(nodes), NodeCounts.of(nodes)
        self.compare_to = compare_to
        layers = {layer.name: layer for layer in graph.layers}
        position = {node.name: index for index, node in enumerate(nodes)}
        # (slot, node, bits of an element by format, bits of the whole tensor by format)
        self.lookups = [
            (column, position[slot.layer], slot.tensor, *_bits(slot, layers[slot.layer]))
            for column, slot in enumerate(slots)
            if slot.layer in position
        ]
        self.shared = shared_tensors(layers, slots, position)
        self.untied = untied
        # as they were written: what is calibrated has scales of its own
        self._written = tuple(map(_as_named, written or slots))
        self._tables = Tables()
        self._sizes = {layer.name: layer_choices(layer) for layer in graph.layers}
        self._slots = [(column, slot) for column, slot in enumerate(slots) if slot.layer in position]
        self._layers = {name: layer for name, layer in layers.items() if name in position}
        self._position = position
        weighted = {position[name] for name, layer in self._layers.items() if layer.stored.get("weight")}
        self._by_part = ByPart(slots, layers, nodes, position)
        self._products = set(position.values()) - weighted  # of two results

    def __call__(self, metrics: Sequence[Metric], chosen: IntArray) -> dict[str, FloatArray]:
        """The costs [K] by name for format indices [K, S]."""
        tables, whole = self._tables.of(metrics), self._whole(metrics)
        counted = [metric for metric in metrics if metric.name not in tables and metric.name not in whole]
        parts = [self._part(counted, tables, chosen[start : start + CHUNK]) for start in _starts(chosen)]
        found = {name: cost(chosen) for name, cost in whole.items()}
        found |= {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return {metric.name: found[metric.name] for metric in metrics}

    def reasons(self, metrics: Sequence[Metric], chosen: IntArray) -> dict[int, str]:
        """Of candidates with format indices [K, S] that have no such costs, by row: why."""
        if not self._whole(metrics):
            return {}
        told = [made for made in self.in_common.values() if isinstance(made, GivesReasons)]
        return {row: reason for made in told for row, reason in made.reasons(chosen).items()}

    def check(self, metrics: Sequence[Metric]) -> None:
        """Raises UserError where a table lacks what candidates may have, or the network has no such cost."""
        self._whole(metrics)
        for table in self._tables.of(metrics).values():
            table.check(self._possible(), dict.fromkeys(slot.layer for slot in self._written))

    def without_weights(self, metrics: Sequence[Metric]) -> tuple[Metric, ...]:
        """Those of some costs that follow from shapes and formats alone, whatever the weights."""
        return tuple(metric for metric in metrics if self._is_without_weights(metric))

    def _is_without_weights(self, metric: Metric) -> bool:
        if metric.name in self._tables.of([metric]):
            return True
        if self._whole([metric]) or self.has_parts:
            return False
        bits = replace(self.node_bits(np.zeros((1, len(self.slots)), np.int64)), significant=needs_weights)
        try:
            cost_metrics([metric], self.counts, bits)
        except NeedsWeightsError:
            return False
        return True

    def keep_in(self, folder: Path) -> None:
        """Keep what costs take long to find in a folder, and use what it keeps."""
        for made in self.in_common.values():
            if isinstance(made, KeepsTables):
                made.keep_in(folder)

    def _whole(self, metrics: Sequence[Metric]) -> dict[str, Callable[[IntArray], FloatArray]]:
        """By name, those that are costs of the network as a whole and not of what its nodes do."""
        for metric in metrics:
            if metric.name not in self._of_graph and (cost := cost_of_graph(metric)) is not None:
                self._of_graph[metric.name] = cost.of_graph(
                    self.graph, self.slots, self.example, self.in_common
                )
        return {
            metric.name: self._of_graph[metric.name] for metric in metrics if metric.name in self._of_graph
        }

    def _part(
        self, metrics: Sequence[Metric], tables: Mapping[str, CostTable], chosen: IntArray
    ) -> dict[str, FloatArray]:
        found = cost_metrics(metrics, self.counts, self.node_bits(chosen)) if metrics else {}
        if tables:
            choices = self._choices(chosen)
            found |= {name: table(choices, len(chosen)) for name, table in tables.items()}
        return found

    def _possible(self) -> Choices:
        """As `_choices`, with all that each layer may have by itself."""
        choices = {name: dict(sizes) for name, sizes in self._sizes.items()}
        for layer, own in choices.items():
            slots = [slot for slot in self._written if slot.layer == layer]
            counts = {c: n for slot in slots for c, n in zip(slot.columns, slot.table.shape, strict=True)}
            rows = dict(zip(counts, combinations([*counts.values()]).T, strict=True))
            for slot in slots:
                codes = slot.table[tuple(rows[column] for column in slot.columns)]
                own[slot.tensor] = Choice(slot.formats, np.atleast_1d(codes))
        return choices

    def _choices(self, chosen: IntArray) -> Choices:
        """What the layers have for format indices [K, S], as tables of costs know it."""
        choices = {name: dict(sizes) for name, sizes in self._sizes.items()}
        for column, slot in enumerate(self._written):
            choices[slot.layer][slot.tensor] = Choice(slot.formats, chosen[:, column])
        return choices

    @property
    def has_parts(self) -> bool:
        """Whether formats have widths of their own for each part of a tensor."""
        return self._by_part.any

    def node_bits(self, chosen: IntArray) -> NodeBits:
        """The bits of all numbers for format indices [K, S]."""
        floats = NodeBits.unquantised(self.counts, len(chosen))
        each = {tensor: getattr(floats, tensor).copy() for tensor in ("data_in", "weight", "bias")}
        totals: Mapping[TensorName, FloatArray] = {
            "weight": floats.weight_bits.copy(),
            "bias": floats.bias_bits.copy(),
        }
        for column, node, tensor, element_bits, tensor_bits in self.lookups:
            choice = chosen[:, column]
            each[tensor][:, node] = element_bits[choice]
            if tensor != "data_in":
                totals[tensor][:, node] = tensor_bits[choice]
            elif node in self._products:
                each["weight"][:, node] = element_bits[choice]
        stored, copies = each["weight"], np.ones((1, len(self.nodes)))
        if self.shared:
            stored, copies = stored.copy(), np.ones_like(stored)
        for readers in self.shared:
            further = readers.further(chosen, untied=self.untied)
            totals[readers.tensor][:, readers.node] += further.tensor_bits
            if readers.tensor == "weight":
                stored[:, readers.node] += further.element_bits
                copies[:, readers.node] += further.copies
        significant = partial(self._significant, chosen, each)

        def of_weights(kind: Kind) -> FloatArray:
            return each["weight"] if kind == "width" else significant("weight")

        return NodeBits(
            **each,
            weight_bits=totals["weight"],
            bias_bits=totals["bias"],
            stored=stored,
            copies=copies,
            compare_to=self.compare_to,
            significant=significant,
            products=self._by_part.products(chosen, each["data_in"], of_weights),
            widest=self._by_part.widest(chosen, each),
        )

    def _significant(
        self,
        chosen: IntArray,
        each: Mapping[str, FloatArray],
        tensor: Literal["weight", "bias"],
    ) -> FloatArray:
        """As `NodeBits.significant` has it, [K, N], for format indices [K, S] and bits of an element."""
        found = each[tensor].copy()
        if tensor == "bias":
            without = [
                self._position[name] for name, layer in self._layers.items() if not layer.stored.get("bias")
            ]
            found[:, without] = 0
        for column, node, own, bits in self._significant_by_slot:
            if own == tensor:
                found[:, node] = bits[chosen[:, column]]
        return found

    @cached_property
    def _significant_by_slot(self) -> list[tuple[int, int, TensorName, FloatArray]]:
        """Column, node, tensor, and the mean significant bits for each format of the slot."""
        found: list[tuple[int, int, TensorName, FloatArray]] = []
        for column, slot in self._slots:
            values = [stored.value for stored in self._layers[slot.layer].stored.get(slot.tensor, ())]
            if slot.tensor != "data_in" and values:
                bits = np.array([_mean_significant(fmt, values) for fmt in slot.formats])
                found.append((column, self._position[slot.layer], slot.tensor, bits))
        return found


def _as_named(slot: Slot) -> Slot:
    """The slot with the formats that configs and tables name."""
    return replace(slot, formats=tuple(map(uncorrected, slot.formats)))


def needs_weights(tensor: Literal["weight", "bias"]) -> FloatArray:
    """As `NodeBits.significant` where weights are not known yet; raises NeedsWeightsError."""
    raise NeedsWeightsError(tensor)


def _mean_significant(fmt: Format | None, values: Sequence[Tensor]) -> float:
    """Of all elements of the tensors, each rounded by the format; at most the format's bits."""
    if fmt is None:
        return float(FLOAT_BITS)
    most = round(fmt.bits if (hull := hull_of(fmt)) is None else hull.width)
    bits = [significant_bits(fmt.quantize(value)).clamp(max=most).double() for value in values]
    return float(sum(x.sum() for x in bits)) / max(1, sum(x.numel() for x in bits))


def _starts(chosen: IntArray) -> range:
    return range(0, max(len(chosen), 1), CHUNK)


def _bits(slot: Slot, layer: Layer) -> tuple[FloatArray, FloatArray]:
    """Bits of an element and of the whole tensor for each format of a slot, [formats] each."""
    shapes = [tuple(stored.whole.shape) for stored in layer.stored.get(slot.tensor, ())]
    each = [element_bits_of(fmt) for fmt in slot.formats]
    total = [sum(storage_bits_of(fmt, shape) for shape in shapes) for fmt in slot.formats]
    return np.array(each), np.array(total, dtype=np.float64)
