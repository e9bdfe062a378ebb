"""Bits of products whose factors have widths of their own for each part: channels, or single weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.formats.base import Format
from widthwise.formats.exact import significant_bits
from widthwise.formats.integer_each import IntegerEach
from widthwise.metrics.cost.counts import FLOAT_BITS
from widthwise.network.counting import NodeCost
from widthwise.network.layer import Layer
from widthwise.network.operations import CONVOLUTIONS
from widthwise.spaces.slots import Slot

Kind = Literal["width", "significant"]
Tensor = Literal["data_in", "weight"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Node:
    """A node some of whose formats have several parts; the columns of its slots, and their formats."""

    at: int
    layer: Layer
    columns: Mapping[Tensor, int]
    formats: Mapping[Tensor, tuple[Format | None, ...]]

    def choices(self, tensor: Tensor, chosen: IntArray) -> IntArray:
        """Which of its formats each candidate has, [K]."""
        if tensor not in self.columns:
            return np.zeros(len(chosen), dtype=np.int64)
        return chosen[:, self.columns[tensor]]


class ByPart:
    """What of a network's costs follows from its formats part by part, where some have several.

    position: of nodes by name.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        layers: Mapping[str, Layer],
        nodes: Sequence[NodeCost],
        position: Mapping[str, int],
    ) -> None:
        columns: dict[str, dict[Any, int]] = {}
        for column, slot in enumerate(slots):
            if slot.layer in position and slot.tensor in ("data_in", "weight"):
                columns.setdefault(slot.layer, {})[slot.tensor] = column
        self._nodes = []
        for name, own in columns.items():
            formats = {tensor: slots[column].formats for tensor, column in own.items()}
            if any(_has_parts(fmt) for fmts in formats.values() for fmt in fmts):
                self._nodes.append(_Node(position[name], layers[name], own, formats))
                _check(self._nodes[-1], nodes[position[name]])
        self._mean = cache(_mean)

    @property
    def any(self) -> bool:
        """Whether some format has several parts."""
        return bool(self._nodes)

    def products(
        self, chosen: IntArray, data: FloatArray, of_weights: Callable[[Kind], FloatArray]
    ) -> Callable[[Kind], FloatArray] | None:
        """As `NodeBits.products` has it for format indices [K, S]; None where no format has parts.

        data: bits of inputs [K, N]; of_weights: of weights, on average.
        """
        return partial(self._products, chosen, data, of_weights) if self._nodes else None

    def _products(
        self, chosen: IntArray, data: FloatArray, of_weights: Callable[[Kind], FloatArray], kind: Kind
    ) -> FloatArray:
        found: FloatArray = data * of_weights(kind)
        for node in self._nodes:
            if not node.layer.stored.get("weight"):
                continue
            pairs = np.stack([node.choices(tensor, chosen) for tensor in ("data_in", "weight")], axis=1)
            distinct, which = np.unique(pairs, axis=0, return_inverse=True)
            means = np.array([self._mean(node, int(a), int(b), kind) for a, b in distinct])
            found[:, node.at] = means[which.reshape(-1)]
        return found

    def widest(
        self, chosen: IntArray, each: Mapping[Any, FloatArray]
    ) -> Callable[[Tensor], FloatArray] | None:
        """As `NodeBits.widest` has it; each: bits [K, N] on average."""
        return partial(self._widest, chosen, each) if self._nodes else None

    def _widest(self, chosen: IntArray, each: Mapping[Any, FloatArray], tensor: Tensor) -> FloatArray:
        found = each[tensor].copy()
        for node in self._nodes:
            if tensor in node.columns:
                most = np.array([_greatest(fmt) for fmt in node.formats[tensor]])
                found[:, node.at] = most[node.choices(tensor, chosen)]
        return found


def _has_parts(fmt: Format | None) -> bool:
    return isinstance(fmt, IntegerEach) and fmt.table[0].size > 1


def _greatest(fmt: Format | None) -> float:
    if fmt is None:
        return float(FLOAT_BITS)
    return float(fmt.table[0].max()) if isinstance(fmt, IntegerEach) else fmt.bits


def _check(node: _Node, cost: NodeCost) -> None:
    """Raises UserError where it can't be said which parts meet in products."""
    if not cost.macs or not any(map(_has_parts, node.formats.get("data_in", ()))):
        return
    if node.layer.stored.get("weight") and node.layer.type in {"linear"} | CONVOLUTIONS:
        return
    raise UserError(
        f"{node.layer.name}: a {node.layer.type} reads a format whose parts have widths of their own, and "
        "which of them meet in its products is not known; give it one width"
    )


def _mean(node: _Node, data: int, weight: int, kind: Kind) -> float:
    """Bits of an input times those of a weight, mean over the products of a layer."""
    value = node.layer.stored["weight"][0].value
    fmt = node.formats["weight"][weight] if "weight" in node.formats else None
    groups = int(getattr(node.layer.module, "groups", 1))
    each = _weight_bits(fmt, value, kind).reshape(groups, len(value) // groups, value.shape[1], -1)
    read = node.formats["data_in"][data] if "data_in" in node.formats else None
    inputs = groups * value.shape[1]
    bits = _read_bits(read, inputs, node.layer).reshape(groups, 1, value.shape[1], 1)
    return float((each * bits).mean())


def _weight_bits(fmt: Format | None, value: Any, kind: Kind) -> Floats:
    shape = tuple(value.shape)
    if fmt is None:
        return np.full(shape, float(FLOAT_BITS))
    if kind == "significant":
        return significant_bits(fmt.quantize(value)).clamp(max=round(_greatest(fmt))).double().numpy()
    if isinstance(fmt, IntegerEach):
        return fmt.spread(shape)[0].astype(np.float64)
    return np.full(shape, fmt.bits)


def _read_bits(fmt: Format | None, inputs: int, layer: Layer) -> Floats:
    """Of each input (channel) of a layer [inputs]."""
    if not isinstance(fmt, IntegerEach) or fmt.table[0].size == 1:
        return np.full(inputs, float(FLOAT_BITS) if fmt is None else fmt.bits)
    places = 0 if layer.type == "linear" else int(layer.type[-2])
    if fmt.shape != (inputs, *[1] * places):
        raise UserError(
            f"{layer.name}: data_in has parts of shape {list(fmt.shape)}; give a width for each of {inputs} "
            f"inputs, shape = {[inputs, *[1] * places]}, or one for all"
        )
    return fmt.table[0].reshape(-1).astype(np.float64)
