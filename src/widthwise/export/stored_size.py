"""Bytes that a form stores: weights and biases as it keeps them, with their scales and zero points.

`model_size` counts bits of formats, packed. A form may keep a weight of three bits as a float, as a byte or
in a table of `int8_t`. What files have beside such numbers (names, nodes, scales of inputs) is not counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.export.by_layer import SumByLayer
from widthwise.export.integers.layers import STEPS, RefusalError, is_known, unknown
from widthwise.export.integers.reading import SIZES
from widthwise.export.integers.steps import Convolution, Linear, Scale, Value
from widthwise.formats import Binary, Format, Integer, ScaledInteger
from widthwise.formats.corrected import uncorrected
from widthwise.metrics.cost.counts import NodeBits, NodeCounts
from widthwise.network.scheme import Scheme
from widthwise.spaces.slots import Slot, schemes

if TYPE_CHECKING:
    from widthwise.network.graph import Graph
    from widthwise.network.layer import Layer

FLOAT = 4  # bytes
Weighted = Linear | Convolution | Scale
OfStep = Callable[[Weighted], float]
OfLayer = Callable[["Layer", Scheme], float]
OfGraph = Callable[["Graph"], float]


@dataclass(frozen=True)
class StoredSize:
    """A cost: the bytes of a form.

    layer: those that follow from a layer's formats; RefusalError where it can't be written. rest: those that
    no format changes.
    """

    form: str
    layer: OfLayer
    rest: OfGraph

    @property
    def name(self) -> str:
        """As configs have it."""
        return f"model_size[{self.form}]"

    def __call__(self, counts: NodeCounts, bits: NodeBits) -> FloatArray:
        """Raises UserError: what nodes do and the bits of their numbers don't tell it."""
        raise UserError(
            f"{self.name}: is of networks whose formats are searched, not their widths; take model_size"
        )

    def of_graph(
        self, graph: Graph, slots: Sequence[Slot], example: tuple[Tensor, ...], shared: dict[str, Any]
    ) -> Callable[[IntArray], FloatArray]:
        """The bytes [K] of a network for format indices [K, S]; NaN for candidates that the form can't write.

        Raises UserError where it can write none that has formats.
        """
        del example, shared
        rest = self.rest(graph)
        summed = SumByLayer(graph.layers, graph.schemes, tuple(slots), self._bytes)
        if any(fmt is not None for slot in slots for fmt in slot.formats):
            self._check(summed)
        return lambda chosen: summed(chosen) + rest

    def _bytes(self, layer: Layer, scheme: Scheme) -> float:
        try:
            return self.layer(layer, scheme)
        except RefusalError:
            return math.nan

    def _check(self, summed: SumByLayer) -> None:
        """Raises UserError where a layer has no formats in which the form can write it."""
        first = schemes(summed.slots, np.zeros(len(summed.slots), dtype=np.int64))
        for layer in summed.layers:
            if all(map(math.isnan, summed.of_every(layer))):
                try:
                    self.layer(layer, first.get(layer.name, summed.own[layer.name]))
                except RefusalError as reason:
                    raise UserError(f"{self.name}: {layer.name}: {reason}") from reason


def _in_integers(of_step: OfStep) -> OfLayer:
    """Of a layer that multiplies codes by codes."""

    def counted(layer: Layer, scheme: Scheme) -> float:
        if not (is_known(layer) or layer.type in SIZES):
            raise RefusalError(unknown(layer.type))
        if not layer.stored.get("weight"):
            return 0.0
        given = scheme.data_in
        if not isinstance(given, Integer):
            raise RefusalError("reads its input without a fixed<...> format; give its data_in one")
        step = STEPS[layer.type](layer, scheme, [Value(layer.name, given.fraction, *given.codes)])
        assert isinstance(step, Weighted)
        return of_step(step)

    return counted


def _in_tables(step: Weighted) -> float:
    """C: the narrowest of its types that holds all numbers of a table."""
    from widthwise.export.c.stages import bits_of_table

    return sum(bits_of_table(codes) * codes.size for codes in (step.weight, step.bias)) / 8


def _in_words(step: Weighted) -> float:
    """hls4ml: words of just so many bits, biases also where they are zero."""
    from widthwise.export.hls4ml.layers import tables_of

    tables = zip(tables_of(step), (step.weight, step.bias), strict=True)
    return sum(value.bits * codes.size for value, codes in tables) / 8


def _in_bytes(step: Weighted) -> float:
    """ONNX, layout qdq: bytes and int32, with a scale and a zero point each; floats where a bias is finer."""
    from widthwise.export.in_bytes import finer_bias

    weight, bias = step.weight.size, step.bias.size
    if isinstance(step, Scale):
        return float(FLOAT * (weight + (bias if step.bias.any() else 0)))
    stored = weight + FLOAT + 1
    if finer_bias(step.weight, step.shift):
        return float(stored + FLOAT * bias)
    return float(stored + ((4 * bias + FLOAT + 4) if step.bias.any() else 0))


def _as_nodes(layer: Layer, scheme: Scheme) -> float:
    """QONNX: what the nodes of weights and biases take beside these, which stay floats."""
    total = 0.0
    for tensor, stored in layer.stored.items():
        for each in stored:
            if (fmt := scheme[tensor]) is not None:
                total += FLOAT * _numbers_of_node(uncorrected(fmt.calibrated(each.value)))
    return total


def _numbers_of_node(fmt: Format | None) -> float:
    """Scales and zero points, and for Quant its width."""
    if isinstance(fmt, Integer):
        return 3
    if not isinstance(fmt, Binary | ScaledInteger):
        raise RefusalError(f"{fmt!r} has no node; integer, scaled_integer and binary have one")
    scales = len(fmt.scale) if isinstance(fmt.scale, tuple) else 1
    if isinstance(fmt, Binary):
        return scales
    points = len(fmt.zero_point) if isinstance(fmt.zero_point, tuple) else 1
    return scales + points + 1


def _no_formats(layer: Layer, scheme: Scheme) -> float:
    """Torch: weights are kept as the float network has them."""
    del layer, scheme
    return 0.0


def _state(graph: Graph) -> float:
    """All that the network's state holds, tied tensors for each of their names."""
    state = graph.model.state_dict()
    return float(sum(x.numel() * x.element_size() for x in state.values()))


def _floats(graph: Graph) -> float:
    """What each layer reads, a copy for each of its readers, and what norms keep of the data."""
    read = [each.whole.numel() for layer in graph.layers for own in layer.stored.values() for each in own]
    modules = [layer.module for layer in graph.layers if layer.module is not None]
    kept = [x.numel() for module in modules for x in module.buffers() if x.is_floating_point()]
    return float(FLOAT * (sum(read) + sum(kept)))


def _nothing(graph: Graph) -> float:
    del graph
    return 0.0


c = StoredSize("c", _in_integers(_in_tables), _nothing)
hls4ml = StoredSize("hls4ml", _in_integers(_in_words), _nothing)
onnx = StoredSize("onnx", _in_integers(_in_bytes), _nothing)
qonnx = StoredSize("qonnx", _as_nodes, _floats)
torch = StoredSize("torch", _no_formats, _state)
