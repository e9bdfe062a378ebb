"""Which layers of a network have trained widths, and how each computes with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from widthwise.core.errors import UserError, said_once
from widthwise.network.quantized import is_more_than_its_class
from widthwise.network.scheme import Scheme
from widthwise.training.trained_widths.tensors import ConstantWidths, ReadWidths

if TYPE_CHECKING:
    from torch import fx

    from widthwise.network.graph import Graph
    from widthwise.network.layer import Layer
    from widthwise.training.trained_widths.settings import Each

NAMES = ("weight", "bias")
WEIGHTED = {"linear", "conv1d", "conv2d"}
SUMS = {"add", "sub"}
KEEPS_SIGN = {  # what gives its inputs, some of them, or means of them
    *(f"{kind}_pool{n}d" for kind in ("max", "avg", "adaptive_max", "adaptive_avg") for n in (1, 2)),
    *("flatten", "reshape", "view", "squeeze", "unsqueeze", "identity", "contiguous"),
    *("dropout", "dropout1d", "dropout2d"),
}
SIZES = {"size", "shape", "getattr", "dim", "len", "getitem"}
PASSED = {"relu"} | KEEPS_SIGN | SIZES
CAN = "linear, conv1d, conv2d, add, sub, relu, pooling, flatten and reshape can be"


class TrainedLayer(nn.Module):
    """A layer whose input, weight and bias have trained widths.

    read: the number of what it reads; own: those of its weight and bias. All are as they were prepared last.
    """

    def __init__(
        self, layer: nn.Module, reads: ReadWidths, read: int, constants: ConstantWidths, own: Sequence[int]
    ):
        super().__init__()
        self.read, self.own = read, tuple(own)
        self._parts = layer, reads, constants  # not its own: they are trained as the network's

    def forward(self, x: Tensor) -> Tensor:
        """What the layer computes."""
        layer, reads, constants = self._parts
        used = {name: constants(number) for name, number in zip(NAMES, self.own, strict=False)}
        found: Tensor = torch.func.functional_call(layer, used, (reads(self.read, x),))
        return found

    def scheme(self) -> Scheme:
        """The formats that it has come to."""
        _, reads, constants = self._parts
        return Scheme(reads.format(self.read), *(constants.format(number) for number in self.own))

    @property
    def dead(self) -> bool:
        """Whether nothing that it reads has a part in what it gives."""
        layer, reads, constants = self._parts
        live, used = (reads.widths(self.read) > 0).reshape(-1), constants(self.own[0]) != 0
        return not bool((used & live[inputs_of(layer, used) % len(live)]).any())


class TrainedSum(nn.Module):
    """A sum or difference whose operands are read with one trained width for each channel."""

    def __init__(self, reads: ReadWidths, read: int, sign: int) -> None:
        super().__init__()
        self.read, self.sign = read, sign
        self._reads = (reads,)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x + y, or x - y, as they are read."""
        (reads,) = self._reads
        found: Tensor = reads(self.read, x) + self.sign * reads(self.read, y)
        return found

    def scheme(self) -> Scheme:
        """The format of both."""
        return Scheme(self._reads[0].format(self.read))

    @property
    def dead(self) -> bool:
        """Whether it gives zeros alone."""
        return not bool((self._reads[0].widths(self.read) > 0).any())


def inputs_of(layer: nn.Module, weight: Tensor) -> Tensor:
    """Which input channel or feature each element of a weight multiplies, of its shape."""
    groups = int(getattr(layer, "groups", 1))
    outputs, inputs = weight.shape[:2]
    first = torch.arange(groups).repeat_interleave(outputs // groups) * inputs
    found = first[:, None] + torch.arange(inputs)
    return found.reshape(outputs, inputs, *[1] * (weight.ndim - 2)).expand(weight.shape)


def places_of(layer: nn.Module, shape: Sequence[int]) -> int:
    """How often each weight of a layer is used for a sample, for outputs [n, ...]."""
    total = 1
    for size in shape[1:-1] if isinstance(layer, nn.Linear) else shape[2:]:
        total *= int(size)
    return total


def refusals(graph: Graph) -> list[str]:
    """Why widths of a network can't be trained, as "layer: reason"."""
    if graph.capture != "fx":
        return [f"the network runs as it is, so it has no graph to train ({graph.capture_error})"]
    found = [f"{layer.name}: {reason}" for layer in graph.layers if (reason := _reason(graph, layer))]
    if not found and not any(layer.type in WEIGHTED for layer in graph.layers):
        return ["the network has no linear layer and no convolution whose widths could be trained"]
    inputs = [node for node in graph.fx_graph.nodes if node.op == "placeholder" and node.users]
    if len(inputs) > 1:
        found.append(f"{inputs[1].name}: is a second input; widths of networks with one are trained")
    return found


def _reason(graph: Graph, layer: Layer) -> str:
    """Why a layer can't be trained; "" where it can, or has nothing to train."""
    reason, args = "", layer.node.args
    if layer.type in WEIGHTED:
        reason = _reason_of_weighted(graph, layer)
    elif layer.type in SUMS:
        if len(args) != 2 or layer.node.kwargs or not all(hasattr(arg, "users") for arg in args):
            reason = f"{layer.type} of other than two tensors can't be trained"
    elif "norm" in layer.type:
        reason = f"{layer.type} can't be trained where it stands; put it right behind what multiplies"
    elif layer.type not in PASSED:
        reason = f"{layer.type} can't be trained; {CAN}"
    return reason


def _reason_of_weighted(graph: Graph, layer: Layer) -> str:
    if layer.module is None:
        kind = "Linear" if layer.type == "linear" else f"Conv{layer.type[-2]}d"
        return f"is a function; call a module of torch's, as nn.{kind}"
    if is_more_than_its_class(layer.module):
        return "has hooks, or weights that are made of others; remove these"
    if getattr(layer.module, "padding_mode", "zeros") != "zeros":
        return "pads with other than zeros"
    calls = [node for node in graph.fx_graph.nodes if node.target == layer.node.target]
    return "" if len(calls) == 1 else "is called more than once; give each call a layer of its own"


def parts_of(layer: Layer, shape: Sequence[int], each: Each) -> tuple[int, ...]:
    """The shape of the parts of what a layer reads [n, *sample]; shape: of a sample."""
    if each == "tensor":
        return ()
    if layer.type == "linear":
        return (int(shape[-1]),)
    if layer.type in SUMS and len(shape) == 1:
        return (int(shape[0]),)
    return (int(shape[0]), *[1] * (len(shape) - 1))


def constant_of(value: Tensor, each: Each, bits: int) -> tuple[tuple[int, ...], float]:
    """The parts of a weight or bias that have bits of their own, and how many they begin with behind the
    point, for so many bits in the greatest value."""
    parts = tuple(value.shape)
    if each == "channel":
        parts = (len(value), *[1] * (value.ndim - 1))
    elif each == "tensor":
        parts = (1,) * value.ndim
    return parts, float(bits - 1 - int(torch.frexp(value.detach().abs().max().clamp_min(2.0**-20))[1]))


def is_signed(node: fx.Node, layers: dict[str, Layer], *, inputs: bool) -> bool:
    """Whether a node may give numbers below zero; inputs: whether those of the network are."""
    if node.op == "placeholder":
        return inputs
    layer = layers.get(node.name)
    if layer is None:
        return True
    if layer.type == "relu":
        return False
    if layer.type in KEEPS_SIGN or layer.type == "add":
        return any(is_signed(other, layers, inputs=inputs) for other in layer.node.all_input_nodes)
    return True


def check(graph: Graph) -> None:
    """Raises UserError where widths of this network can't be trained, naming the layers."""
    if found := refusals(graph):
        raise UserError("widths can't be trained: " + said_once(found))
