"""Which layers of a network have trained widths, and how each computes with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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
    from widthwise.training.trained_widths.settings import Each, PathSettings

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
    """A layer whose input, weight and bias have trained widths."""

    def __init__(
        self, layer: nn.Module, read: ReadWidths, weight: ConstantWidths, bias: ConstantWidths | None
    ):
        super().__init__()
        self.read, self.weight, self.bias = read, weight, bias
        self._layer = [layer]  # not a part: its parameters are not trained
        self.counted: dict[str, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        """What the layer computes; `counted` has what that takes, for one sample."""
        weight = self.weight()
        bias = None if self.bias is None else self.bias()
        used = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
        found: Tensor = torch.func.functional_call(self._layer[0], used, (self.read(x),))
        self.counted = self._count(found.shape, weight, bias)
        return found

    def _count(self, shape: Sequence[int], weight: Tensor, bias: Tensor | None) -> dict[str, Tensor]:
        """ "ebops" of one sample, and "bits" of all constants."""
        layer, widths = self._layer[0], self.weight.widths(weight)
        outputs = 1 if len(shape) == 2 and isinstance(layer, nn.Linear) else _places(layer, shape)
        each = self.read.widths()
        by_input = self._grouped(widths).sum((1, 3)).reshape(-1)
        products = (by_input * each.reshape(-1)).sum() * outputs
        bits = widths.sum() + (weight != 0).sum()  # a sign each
        if bias is not None and self.bias is not None:
            own = self.bias.widths(bias).sum()
            products, bits = products + own * outputs, bits + own + (bias != 0).sum()
        return {"ebops": products, "bits": bits}

    def _grouped(self, weight: Tensor) -> Tensor:
        """What is shaped like the weight, as [groups, outputs of each, inputs of each, places]."""
        groups = int(getattr(self._layer[0], "groups", 1))
        return weight.reshape(groups, len(weight) // groups, weight.shape[1], -1)

    def scheme(self) -> Scheme:
        """The formats that it has come to."""
        bias = None if self.bias is None else self.bias.format()
        return Scheme(self.read.format(), self.weight.format(), bias)

    @property
    def dead(self) -> bool:
        """Whether nothing that it reads has a part in what it gives."""
        with torch.no_grad():
            live = (self.read.widths() > 0).reshape(-1)
            used = self._grouped(self.weight()).ne(0).any(3).any(1).reshape(-1)
        return not bool((used & (live if live.numel() > 1 else live.expand_as(used))).any())


class TrainedSum(nn.Module):
    """A sum or difference whose operands are read with one trained width for each channel."""

    def __init__(self, read: ReadWidths, sign: int) -> None:
        super().__init__()
        self.read, self.sign = read, sign
        self.counted: dict[str, Tensor] = {}

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x + y, or x - y, as they are read."""
        places = x[0].numel() // max(self.read.fraction.numel(), 1)
        bits = self.read.widths().sum() * places
        self.counted = {"ebops": bits, "bits": torch.zeros(())}
        found: Tensor = self.read(x) + self.sign * self.read(y)
        return found

    def scheme(self) -> Scheme:
        """The format of both."""
        return Scheme(self.read.format())

    @property
    def dead(self) -> bool:
        """Whether it gives zeros alone."""
        return not bool((self.read.widths() > 0).any())


def _places(layer: nn.Module, shape: Sequence[int]) -> int:
    """How often each weight is used for a sample, for outputs [n, ...]."""
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


def constant(value: Tensor, each: Each, bits: int) -> ConstantWidths:
    """A weight or bias with trained widths, which begin with so many bits of its greatest value."""
    parts = tuple(value.shape)
    if each == "channel":
        parts = (len(value), *[1] * (value.ndim - 1))
    elif each == "tensor":
        parts = (1,) * value.ndim
    top = int(torch.frexp(value.detach().abs().max().clamp_min(2.0**-20))[1])
    return ConstantWidths(value, parts, bits=bits - 1 - top)


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


def layer_of(layer: Layer, read: ReadWidths, settings: PathSettings) -> Any:
    """What computes in place of a layer."""
    if layer.type in SUMS:
        return TrainedSum(read, -1 if layer.type == "sub" else 1)
    assert layer.module is not None
    weight = constant(layer.module.weight, settings.weights, settings.bits)  # type: ignore[arg-type]
    bias = getattr(layer.module, "bias", None)
    each = "element" if settings.weights == "element" else settings.weights
    return TrainedLayer(
        layer.module, read, weight, None if bias is None else constant(bias, each, settings.bits)
    )
