"""A network whose widths are trained: a copy in which each layer has its numbers in so many bits."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, fx, nn

from widthwise.network.scheme import Scheme
from widthwise.training.trained_widths.layers import (
    SUMS,
    WEIGHTED,
    TrainedLayer,
    TrainedSum,
    check,
    is_signed,
    layer_of,
    parts_of,
)
from widthwise.training.trained_widths.tensors import ReadWidths, peak_of

if TYPE_CHECKING:
    from widthwise.network.graph import Graph
    from widthwise.training.trained_widths.settings import PathSettings


class TrainedNetwork(nn.Module):
    """A copy of a network in float whose layers have trained widths, for samples like x [n, ...].

    Layers that read the same tensor read it in the same widths. Raises UserError, naming the layers, where
    some can't be trained.
    """

    def __init__(self, graph: Graph, x: Tensor, settings: PathSettings) -> None:
        super().__init__()
        check(graph)
        self.model = copy.deepcopy(cast(fx.GraphModule, graph.model)).eval().requires_grad_(False)
        layers = {layer.name: layer for layer in graph.layers}
        values = _values(cast(fx.GraphModule, graph.model), x)
        reads: dict[tuple[str, tuple[int, ...]], ReadWidths] = {}
        self.trained: dict[str, TrainedLayer | TrainedSum] = {}
        self.targets: dict[str, str] = {}
        inputs = bool((x < 0).any())
        for node in self.model.graph.nodes:
            layer = layers.get(node.name)
            if layer is None or layer.type not in WEIGHTED | SUMS:
                continue
            given = [arg for arg in layer.node.all_input_nodes if arg.name in values]
            parts = parts_of(layer, values[given[0].name].shape[1:], settings.data)
            signed = any(is_signed(arg, layers, inputs=inputs) for arg in given)
            key = ("+".join(arg.name for arg in given), parts)
            if key not in reads:
                peak = peak_of([values[arg.name] for arg in given], parts)
                reads[key] = ReadWidths(peak, signed=signed, bits=settings.bits)
            self.trained[node.name] = layer_of(layer, reads[key], settings)
            self._put(node, self.trained[node.name])
        self.model.delete_all_unused_submodules()
        self.model.recompile()

    def _put(self, node: fx.Node, layer: nn.Module) -> None:
        if node.op == "call_module":
            self.targets[node.name] = str(node.target)
            self.model.set_submodule(str(node.target), layer)
            return
        name = f"{node.name}_trained"
        self.model.add_module(name, layer)
        node.op, node.target = "call_module", name

    def forward(self, x: Tensor) -> Any:
        """What the network gives, and notes what that takes."""
        return self.model(x)

    def counted(self, cost: str) -> Tensor:
        """What the network takes, as it was run last."""
        return torch.stack([layer.counted[cost] for layer in self.trained.values()]).sum()

    @property
    def dead(self) -> list[str]:
        """The layers that give nothing that follows from what they read."""
        return [name for name, layer in self.trained.items() if layer.dead]

    def schemes(self) -> dict[str, Scheme]:
        """The formats that each layer has come to."""
        return {name: layer.scheme() for name, layer in self.trained.items()}

    def weights(self) -> Mapping[str, Tensor]:
        """The trained tensors by their names in the network that this is a copy of."""
        found = {}
        for name, target in self.targets.items():
            layer = cast(TrainedLayer, self.trained[name])
            found[f"{target}.weight"] = layer.weight.value.detach().clone()
            if layer.bias is not None:
                found[f"{target}.bias"] = layer.bias.value.detach().clone()
        return found

    def groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Parameters that are values, and those that are widths, in a fixed order."""
        named = dict(self.named_parameters())
        values = [p for name, p in named.items() if name.endswith(".value")]
        widths = [p for name, p in named.items() if name.endswith((".fraction", ".whole"))]
        return values, widths


def _values(model: fx.GraphModule, x: Tensor) -> dict[str, Tensor]:
    """What each node of a network in float gives for samples x [n, ...], by its name."""
    found: dict[str, Tensor] = {}

    class Noting(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            value = super().run_node(n)
            if isinstance(value, Tensor):
                found[n.name] = value
            return value

    with torch.no_grad():
        Noting(model).run(x)
    return found
