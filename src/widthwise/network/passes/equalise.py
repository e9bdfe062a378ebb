"""The pass that moves scales from layer to layer, so that the channels of a tensor are of about one size."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, fx, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from widthwise.core.errors import UserError
from widthwise.network.graph import Graph
from widthwise.network.passes.fold import fold_batchnorm_transform_pass
from widthwise.network.quantized import is_more_than_its_class

PASS = "equalise_transform_pass"
ROUNDS, SETTLED, MOST = 100, 1e-3, 2.0**10
# what gives c > 0 times as much for c times its inputs: element by element, and image by image of a channel
ALONE: tuple[type[nn.Module], ...] = (nn.ReLU, nn.LeakyReLU, nn.Identity, nn.Dropout)
POOLS: tuple[type[nn.Module], ...] = (
    *(nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.Dropout1d, nn.Dropout2d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d),
)
ALONE_CALLS = (torch.relu, F.relu, F.leaky_relu, "relu", "contiguous")
POOL_CALLS = (F.max_pool1d, F.max_pool2d, F.avg_pool1d, F.avg_pool2d, F.adaptive_avg_pool2d)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two layers, by their nodes: the second alone reads the channels of the first, at most scaled between.

    repeats: features that the second reads of each channel, one after the other.
    """

    first: str
    second: str
    one: nn.Linear | _ConvNd
    other: nn.Linear | _ConvNd
    repeats: int

    def ranges(self) -> tuple[Tensor, Tensor]:
        """The greatest weights that make, and that read, each channel [channels]."""
        made = self.one.weight.detach().abs().flatten(1).amax(1)
        read = self.other.weight.detach().abs()
        outputs, inputs, groups = *read.shape[:2], _groups(self.other)
        each = read.reshape(groups, outputs // groups, inputs, -1).amax((1, 3))
        return made, each.reshape(len(made), self.repeats).amax(1)

    @torch.no_grad()
    def scale(self, by: Tensor) -> None:
        """Divides what makes each channel by its factor, and multiplies what reads it [channels]."""
        made, read, groups = self.one.weight, self.other.weight, _groups(self.other)
        made.div_(by.reshape(-1, *[1] * (made.ndim - 1)))
        if self.one.bias is not None:
            self.one.bias.div_(by)
        of_inputs = by.repeat_interleave(self.repeats).reshape(groups, -1)
        of_weights = of_inputs.repeat_interleave(len(read) // groups, 0)
        read.mul_(of_weights.reshape(*of_weights.shape, *[1] * (read.ndim - 2)))


def equalise_transform_pass(graph: Graph, pass_args: Mapping[str, Any]) -> tuple[Graph, dict[str, str]]:
    """A copy of the graph in which channels between two layers are scaled so that weights are alike in size.

    For layers a and b with nothing between them but what scales with its inputs (ReLU, leaky ReLU, pooling,
    flattening), channel i is divided by s = sqrt(r_a / r_b) in a and multiplied by it in b, r the greatest
    magnitudes of the weights that make and read it, pair by pair until nothing changes; in all by at most
    1,024. Of linear layers and convolutions, grouped and depthwise too. Computed in float64 and rounded once,
    so that outputs are the same to the precision of floats. Fold batch norms first.
    Source: Nagel et al. 2019, Data-free quantization, section 4.1.

    pass_args: {}. Returns the copy, whose `equalised` is what is returned beside it: by name of each first
    layer the second. Raises UserError for arguments, and where there is no such pair.
    """
    if pass_args:
        raise UserError(f"{PASS}: has no arguments, and was given {', '.join(map(str, pass_args))}")
    if graph.capture != "fx":
        raise UserError(
            f"equalise: the network runs as it is, so nothing is known to lie between its layers "
            f"({graph.capture_error}); leave it out"
        )
    model = copy.deepcopy(cast(fx.GraphModule, graph.model)).eval()
    pairs, why_not = _pairs(model)
    if not pairs:
        reasons = "; ".join(why_not[:3]) or "the network has no two layers with weights"
        raise UserError(f"equalise: no two layers have only ReLU or nothing between them: {reasons}")
    _equalise(pairs)
    made = Graph(model)
    made.folded, made.unfolded = graph.folded, graph.unfolded or graph
    made.equalised = {pair.first: pair.second for pair in pairs}
    return made, dict(made.equalised)


def made_ready(graph: Graph, *, folded: bool, equalised: bool) -> Graph:
    """The graph as candidates are made of it: batch norms folded, then channels equalised, where asked."""
    found = fold_batchnorm_transform_pass(graph, {})[0] if folded else graph
    return equalise_transform_pass(found, {})[0] if equalised else found


def _equalise(pairs: list[Pair]) -> None:
    """Scales until no factor changes anything, and rounds to the weights' own type."""
    layers = {id(layer): layer for pair in pairs for layer in (pair.one, pair.other)}
    dtypes = {key: layer.weight.dtype for key, layer in layers.items()}
    for layer in layers.values():
        layer.double()
    so_far = [torch.ones(len(pair.one.weight), dtype=torch.float64) for pair in pairs]
    for _ in range(ROUNDS):
        most = 1.0
        for at, pair in enumerate(pairs):
            made, read = pair.ranges()
            by = torch.where((made > 0) & (read > 0), (made / read).sqrt(), 1.0)
            whole = (so_far[at].to(by) * by).clamp(1 / MOST, MOST)
            by, so_far[at] = whole / so_far[at].to(by), whole
            pair.scale(by)
            most = max(most, float(torch.maximum(by, 1 / by).max()))
        if most < 1 + SETTLED:
            break
    for key, layer in layers.items():
        layer.to(dtypes[key])


def _pairs(model: fx.GraphModule) -> tuple[list[Pair], list[str]]:
    """The pairs, in order; and of layers that are the first of none what stands behind them."""
    pairs, why_not = [], []
    for node in model.graph.nodes:
        one = _weighted(model, node)
        if one is None:
            continue
        found = _pair(model, node, one)
        if isinstance(found, Pair):
            pairs.append(found)
        elif found:
            why_not.append(found)
    return pairs, why_not


def _pair(model: fx.GraphModule, node: fx.Node, one: nn.Linear | _ConvNd) -> Pair | str:
    """The pair that begins with a layer; or what keeps it from being one, nothing for the last layer."""
    at, flat = node, False
    while True:
        readers = list(at.users)
        if len(readers) != 1:
            return f"{len(readers)} read {at.name}"
        (reader,) = readers
        if reader.op == "output":
            return ""
        other = _weighted(model, reader)
        if other is not None:
            break
        flattens = isinstance(one, _ConvNd) and _flattens(model, reader)
        if not flattens and not _scales(model, reader, images=isinstance(one, _ConvNd) and not flat):
            return f"{reader.name} is behind {node.name}"
        at, flat = reader, flat or flattens
    alike = isinstance(other, nn.Linear) if isinstance(one, nn.Linear) or flat else type(other) is type(one)
    channels, inputs = len(one.weight), other.weight.shape[1] * _groups(other)
    if not alike or inputs % channels or (inputs != channels and not flat):
        return f"{reader.name} reads other axes than {node.name} has channels along"
    return Pair(node.name, reader.name, one, other, inputs // channels)


def _weighted(model: fx.GraphModule, node: fx.Node) -> nn.Linear | _ConvNd | None:
    """A linear layer or convolution whose weights nothing else uses."""
    if node.op != "call_module":
        return None
    layer = model.get_submodule(str(node.target))
    if not isinstance(layer, nn.Linear | _ConvNd) or isinstance(layer, _ConvTransposeNd):
        return None
    used = [other for other in model.graph.nodes if other.target == node.target]
    owners = [module for module in model.modules() if any(value is layer.weight for value in _own(module))]
    read = [other for other in model.graph.nodes if str(other.target).startswith(f"{node.target}.")]
    return None if len(used) != 1 or len(owners) != 1 or read or is_more_than_its_class(layer) else layer


def _own(module: nn.Module) -> list[Tensor]:
    return list(module._parameters.values())  # type: ignore[arg-type]


def _scales(model: fx.GraphModule, node: fx.Node, *, images: bool) -> bool:
    """Whether a call scales with its input, channel by channel; images: of which pooling does so too."""
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        return type(module) in (*ALONE, *(POOLS if images else ())) and not is_more_than_its_class(module)
    return node.target in (*ALONE_CALLS, *(POOL_CALLS if images else ()))


def _flattens(model: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a call puts all that is of a channel one behind the other."""
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        return isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1)
    return node.target in (torch.flatten, "flatten") and node.args[1:] == (1,) and not node.kwargs


def _groups(layer: nn.Linear | _ConvNd) -> int:
    return layer.groups if isinstance(layer, _ConvNd) else 1
