"""What each layer of a network in fixed point reads that is the same for every input, channel by channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn.modules.conv import _ConvNd

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.formats.integer_each import IntegerEach
from widthwise.network.operations import ADAPTIVE, POOLS
from widthwise.network.widths.groups import ELSEWHERE, Groups, Layout, Member

if TYPE_CHECKING:
    from collections.abc import Sequence

    from widthwise.formats.base import Format
    from widthwise.network.graph import Graph
    from widthwise.network.layer import Layer
    from widthwise.network.scheme import Scheme, TensorName

WEIGHTED = {"linear", "conv1d", "conv2d"}
SUMS = {"add", "sub"}
AS_IT_IS = {"identity", "contiguous", "dropout", "dropout1d", "dropout2d"}
MOVES = {"flatten", "reshape", "view", "squeeze", "unsqueeze"}
SIZES = {"size", "shape", "getattr", "dim", "len", "getitem"}
FOLLOWED = {"relu"} | WEIGHTED | SUMS | AS_IT_IS | MOVES | SIZES | POOLS | ADAPTIVE


@dataclass(frozen=True, eq=False)
class Followed:
    """Of a tensor whose channels lie along an axis, counted from the last (-1): the unit of a group that each
    is (None: not known), and its value where that is the same for every input and at every place, else NaN,
    [channels]."""

    axis: int
    layout: Layout | None
    constant: FloatArray


@dataclass(frozen=True, eq=False)
class Weighted:
    """A layer that multiplies: what it is called in the network, and its numbers as they are used.

    axis: of the channels that it reads, from the last. weight: [outputs, all inputs, places], zero where an
    output does not read an input. bias: [outputs]. reads: what it reads of each input channel for every
    input, NaN where that follows the input, [inputs]. pads: whether zeros stand around what it reads.
    """

    owner: str
    module: nn.Module
    axis: int
    weight: FloatArray
    bias: FloatArray
    reads: FloatArray
    pads: bool

    @property
    def shares(self) -> FloatArray:
        """What each input channel that never changes adds to each output, [outputs, inputs]; 0 of others."""
        found: FloatArray = self.weight.sum(2) * np.nan_to_num(self.reads)
        return found

    @property
    def outputs(self) -> FloatArray:
        """What each output channel is for every input, NaN where it follows the input, [outputs]."""
        used = (self.weight != 0).any(2)
        varies = (used & np.isnan(self.reads)).any(1)
        if self.pads:  # at the border there are zeros in place of what never changes
            varies |= (used & (np.nan_to_num(self.reads) != 0)).any(1)
        return np.where(varies, np.nan, self.bias + self.shares.sum(1))


@dataclass(frozen=True, eq=False)
class Flow:
    """layers: those that multiply, by name. sums: the channels that sums and differences read, by name; None
    where they are not known."""

    layers: Mapping[str, Weighted]
    sums: Mapping[str, Followed | None]


def flow(graph: Graph, groups: Groups, inputs: Sequence[Tensor]) -> Flow | None:
    """Follows channels through a network whose schemes are calibrated; None where it has layers that are not
    followed. inputs: samples by which shapes are known."""
    layers = {layer.name: layer for layer in graph.layers}
    if graph.capture != "fx" or any(layer.type not in FOLLOWED for layer in layers.values()):
        return None
    following = _Following(graph, layers, groups, _shapes(graph, inputs))
    for node in graph.fx_graph.nodes:
        if (layer := layers.get(node.name)) is not None:
            following.follow(layer)
    return Flow(following.weighted, following.sums)


def _shapes(graph: Graph, inputs: Sequence[Tensor]) -> dict[str, tuple[int, ...]]:
    """Of the tensor that each node gives, by its name."""
    found: dict[str, tuple[int, ...]] = {}

    class Run(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            value = super().run_node(n)
            if isinstance(value, Tensor):
                found[n.name] = tuple(value.shape)
            return value

    with torch.no_grad():
        Run(cast(fx.GraphModule, graph.model)).run(*inputs)
    return found


class _Following:
    """Nodes in their order to the channels of what they give."""

    def __init__(
        self,
        graph: Graph,
        layers: Mapping[str, Layer],
        groups: Groups,
        shapes: Mapping[str, tuple[int, ...]],
    ) -> None:
        self.schemes, self.groups, self.shapes = graph.schemes, groups, shapes
        self.layers = layers
        self.given: dict[str, Followed | None] = {}
        self.weighted: dict[str, Weighted] = {}
        self.sums: dict[str, Followed | None] = {}

    def follow(self, layer: Layer) -> None:
        """Takes in the next layer."""
        before = [node for node in layer.node.all_input_nodes if node.name in self.shapes]
        if layer.type in SIZES or not before:
            return
        if layer.type in WEIGHTED:
            self.given[layer.name] = self._multiplied(layer, before[0])
        elif layer.type in SUMS:
            self.sums[layer.name] = self.given[layer.name] = self._summed(layer, before)
        else:
            self.given[layer.name] = self._passed(layer, before[0])

    def _read(self, node: fx.Node, fmt: Format | None, axis: int) -> Followed:
        """The channels of a node along an axis as a layer reads them in a format."""
        shape, known = self.shapes[node.name], self.given.get(node.name)
        if known is None or known.axis != axis:
            known = Followed(axis, None, np.full(shape[axis], np.nan))
        if fmt is None:
            return known
        spread = [1] * len(shape)
        spread[axis] = shape[axis]
        values = torch.from_numpy(known.constant).reshape(spread).expand(1, *shape[1:])
        read = fmt.quantize(values).numpy().copy()
        if isinstance(fmt, IntegerEach):
            read[fmt.spread(read.shape)[0] == 0] = 0.0  # whatever is there
        by_channel = np.moveaxis(read, axis, 0).reshape(shape[axis], -1)
        alike = (by_channel == by_channel[:, :1]).all(1)
        return replace(known, constant=np.where(alike, by_channel[:, 0], np.nan))

    def _multiplied(self, layer: Layer, before: fx.Node) -> Followed:
        scheme, module, owner = (
            self.schemes[layer.name],
            cast(nn.Module, layer.module),
            str(layer.node.target),
        )
        axis = -1 if layer.type == "linear" else 1 - len(self.shapes[before.name])
        reads = self._read(before, scheme.data_in, axis).constant
        padding = getattr(module, "padding", 0)
        pads = padding == "same" or (not isinstance(padding, str) and bool(np.any(padding)))
        made = Weighted(owner, module, axis, *_numbers(layer, scheme), reads, pads)
        self.weighted[layer.name] = made
        nowhere = np.full(len(made.bias), ELSEWHERE)
        layout = self.groups.layouts.get(Member(owner, "out"), Layout(nowhere, nowhere))
        return Followed(axis, layout, made.outputs)

    def _summed(self, layer: Layer, before: Sequence[fx.Node]) -> Followed | None:
        axes = [known.axis for node in before if (known := self.given.get(node.name)) is not None]
        if not axes or len({self.shapes[node.name] for node in before}) > 1:
            return None
        fmt = self.schemes[layer.name].data_in
        one, other = (self._read(node, fmt, axes[0]) for node in (before[0], before[-1]))
        sign = -1 if layer.type == "sub" else 1
        layout = other.layout if one.layout is None else one.layout
        return Followed(axes[0], layout, one.constant + sign * other.constant)

    def _passed(self, layer: Layer, before: fx.Node) -> Followed | None:
        shape, made = self.shapes[before.name], self.shapes.get(layer.name, ())
        if (known := self.given.get(before.name)) is None:
            return None
        if layer.type == "relu":
            return replace(known, constant=np.maximum(known.constant, 0.0))
        if layer.type in AS_IT_IS or made == shape:
            return known
        if layer.type in POOLS | ADAPTIVE and known.axis == 1 - len(shape):
            same = (known.constant == 0) | ("max_pool" in layer.type)  # means at the border may be others
            return replace(known, constant=np.where(same, known.constant, np.nan))
        count = len(known.constant)
        if layer.type in MOVES and known.axis == 1 - len(shape) and len(made) == 2 and made[1] % count == 0:
            each = made[1] // count
            layout = known.layout
            if layout is not None:
                layout = Layout(np.repeat(layout.group, each), np.repeat(layout.unit, each))
            return Followed(-1, layout, np.repeat(known.constant, each))
        return None


def _numbers(layer: Layer, scheme: Scheme) -> tuple[FloatArray, FloatArray]:
    """Weight [outputs, all inputs, places] and bias [outputs] as they are used."""
    weight = _used(layer, scheme, "weight")
    bias = _used(layer, scheme, "bias")
    assert weight is not None
    outputs, module = len(weight), layer.module
    groups = module.groups if isinstance(module, _ConvNd) else 1
    flat = weight.reshape(outputs, weight.shape[1], -1)
    whole = np.zeros((outputs, flat.shape[1] * groups, flat.shape[2]))
    columns: IntArray = np.arange(outputs) // (outputs // groups) * flat.shape[1]
    for column in range(flat.shape[1]):
        whole[np.arange(outputs), columns + column] = flat[:, column]
    return whole, np.zeros(outputs) if bias is None else bias


def _used(layer: Layer, scheme: Scheme, tensor: TensorName) -> FloatArray | None:
    if not (stored := layer.stored.get(tensor)):
        return None
    value, fmt = stored[0].value, scheme[tensor]
    used = value if fmt is None else fmt.calibrated(value).quantize(value)
    found: FloatArray = used.detach().double().numpy()
    return found
