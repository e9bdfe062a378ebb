"""Costs of a batch of candidates: what each node takes and the bits of its tensors, by table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import nn

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.formats.base import Format
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.cost.counts import FLOAT_BITS, NodeBits, NodeCounts
from widthwise.metrics.cost.formulas import cost_metrics
from widthwise.network.counting import NodeCost
from widthwise.network.graph import Graph
from widthwise.network.quantized import parameter_role
from widthwise.network.scheme import TensorName
from widthwise.spaces.slots import Slot

CHUNK = 4096  # candidates at a time: five tables [K, N] of floats


class Costs:
    """Cost metrics of one graph with slots."""

    def __init__(
        self, graph: Graph, slots: Sequence[Slot], nodes: Sequence[NodeCost], compare_to: float
    ) -> None:
        self.nodes, self.counts = list(nodes), NodeCounts.of(nodes)
        self.compare_to = compare_to
        layers = {layer.name: layer.module for layer in graph.layers}
        position = {node.name: index for index, node in enumerate(nodes)}
        # (slot, node, bits of an element by format, bits of the whole tensor by format)
        self.lookups = [
            (column, position[slot.layer], slot.tensor, *_bits(slot, layers[slot.layer]))
            for column, slot in enumerate(slots)
            if slot.layer in position
        ]

    def __call__(self, metrics: Sequence[Metric], chosen: IntArray) -> dict[str, FloatArray]:
        """The costs [K] by name for format indices [K, S]."""
        parts = [
            cost_metrics(metrics, self.counts, self._node_bits(chosen[start : start + CHUNK]))
            for start in range(0, max(len(chosen), 1), CHUNK)
        ]
        return {metric.name: np.concatenate([part[metric.name] for part in parts]) for metric in metrics}

    def _node_bits(self, chosen: IntArray) -> NodeBits:
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
            elif not self.nodes[node].weight_elements:
                each["weight"][:, node] = element_bits[choice]  # a product of two results
        return NodeBits(
            **each, weight_bits=totals["weight"], bias_bits=totals["bias"], compare_to=self.compare_to
        )


def _bits(slot: Slot, layer: nn.Module | None) -> tuple[FloatArray, FloatArray]:
    """Bits of an element and of the whole tensor for each format of a slot, [formats] each."""
    shapes = [
        tuple(value.shape)
        for name, value in (layer.named_parameters() if layer is not None else ())
        if parameter_role(name) == slot.tensor
    ]
    each = [float(FLOAT_BITS) if fmt is None else fmt.bits for fmt in slot.formats]
    total = [sum(_storage(fmt, shape) for shape in shapes) for fmt in slot.formats]
    return np.array(each), np.array(total, dtype=np.float64)


def _storage(fmt: Format | None, shape: tuple[int, ...]) -> float:
    return FLOAT_BITS * float(np.prod(shape)) if fmt is None else float(fmt.storage_bits(shape))
