"""A network whose widths are trained: a copy in which each layer has its numbers in so many bits."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, fx, nn

from widthwise.network.scheme import Scheme
from widthwise.training.trained_widths.layers import (
    NAMES,
    SUMS,
    WEIGHTED,
    TrainedLayer,
    TrainedSum,
    check,
    constant_of,
    inputs_of,
    is_signed,
    parts_of,
    places_of,
)
from widthwise.training.trained_widths.tensors import ConstantWidths, ReadWidths, peak_of

if TYPE_CHECKING:
    from widthwise.network.graph import Graph
    from widthwise.network.layer import Layer
    from widthwise.training.trained_widths.settings import PathSettings


class TrainedNetwork(nn.Module):
    """A copy of a network in float whose layers have trained widths, for samples like x [n, ...].

    Raises UserError, naming the layers, where
    some can't be trained.
    """

    def __init__(self, graph: Graph, x: Tensor, settings: PathSettings) -> None:
        super().__init__()
        check(graph)
        self.model = copy.deepcopy(cast(fx.GraphModule, graph.model)).eval().requires_grad_(False)
        layers = {layer.name: layer for layer in graph.layers}
        values = _values(cast(fx.GraphModule, graph.model), x)
        plan = _Plan.of(graph, values, settings, inputs=bool((x < 0).any()))
        self.reads = ReadWidths(plan.peaks, plan.signed, bits=settings.bits)
        self.constants = ConstantWidths(plan.tensors, plan.parts, plan.behind)
        self.trained: dict[str, TrainedLayer | TrainedSum] = {}
        self.targets: dict[str, str] = {}
        for node in self.model.graph.nodes:
            if node.name in plan.reads:
                self.trained[node.name] = self._made(layers[node.name], plan)
                self._put(node, self.trained[node.name])
        self.model.delete_all_unused_submodules()
        self.model.recompile()
        self._factors = _Factors.of(plan, self.reads, self.constants, values, layers)

    def _made(self, layer: Layer, plan: _Plan) -> TrainedLayer | TrainedSum:
        """What computes in place of a layer."""
        read = plan.reads[layer.name]
        if layer.type in SUMS:
            return TrainedSum(self.reads, read, -1 if layer.type == "sub" else 1)
        assert layer.module is not None
        return TrainedLayer(layer.module, self.reads, read, self.constants, plan.own[layer.name])

    def _put(self, node: fx.Node, layer: nn.Module) -> None:
        if node.op == "call_module":
            self.targets[node.name] = str(node.target)
            self.model.set_submodule(str(node.target), layer)
            return
        name = f"{node.name}_trained"
        self.model.add_module(name, layer)
        node.op, node.target = "call_module", name

    def forward(self, x: Tensor) -> Any:
        """What the network gives, with the widths that there are now."""
        self.prepare()
        return self.model(x)

    def prepare(self) -> None:
        """Finds the widths that there are now, and the values in them."""
        self.reads.prepare()
        self.constants.prepare()

    def counted(self, cost: str) -> Tensor:
        """What the network takes as it was prepared last: "ebops" of a sample, or "bits" of its constants."""
        bits, factors = self.constants.bits, self._factors
        if cost == "bits":
            return (bits + (self.constants.used != 0)).sum()  # a sign each
        each = torch.cat([self.reads.bits, bits.new_ones(1)])[factors.read]
        return (bits * each * factors.places).sum() + (self.reads.bits * factors.summed).sum()

    @property
    def dead(self) -> list[str]:
        """The layers that give nothing that follows from what they read."""
        return [name for name, layer in self.trained.items() if layer.dead]

    def schemes(self) -> dict[str, Scheme]:
        """The formats that each layer has come to."""
        return {name: layer.scheme() for name, layer in self.trained.items()}

    def weights(self) -> Mapping[str, Tensor]:
        """The trained tensors by their names in the network that this is a copy of."""
        found, tensors = {}, self.constants.each(self.constants.value.detach())
        for place, target in self.targets.items():
            layer = cast(TrainedLayer, self.trained[place])
            for name, number in zip(NAMES, layer.own, strict=False):
                found[f"{target}.{name}"] = tensors[number].clone()
        return found

    def groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Parameters that are values, and those that are widths, in a fixed order."""
        return [self.constants.value], [self.constants.fraction, self.reads.fraction, self.reads.whole]


@dataclass(frozen=True, eq=False)
class _Plan:
    """What layers read and own, by numbers. Layers that read the same tensor read it in the same widths.

    peaks, signed: of what is read. tensors, parts, behind: weights and biases, see `ConstantWidths`. reads:
    which each layer reads; own: which weight and bias it has.
    """

    peaks: list[Tensor]
    signed: list[bool]
    tensors: list[Tensor]
    parts: list[tuple[int, ...]]
    behind: list[float]
    reads: dict[str, int]
    own: dict[str, list[int]]

    @classmethod
    def of(cls, graph: Graph, values: Mapping[str, Tensor], settings: PathSettings, *, inputs: bool) -> _Plan:
        """Of a network whose nodes give these values; inputs: whether its input is below zero anywhere."""
        plan = cls([], [], [], [], [], {}, {})
        layers = {layer.name: layer for layer in graph.layers}
        known: dict[tuple[str, tuple[int, ...]], int] = {}
        for layer in graph.layers:
            if layer.type not in WEIGHTED | SUMS:
                continue
            given = [arg for arg in layer.node.all_input_nodes if arg.name in values]
            parts = parts_of(layer, values[given[0].name].shape[1:], settings.data)
            key = ("+".join(arg.name for arg in given), parts)
            if key not in known:
                known[key] = len(plan.peaks)
                plan.peaks.append(peak_of([values[arg.name] for arg in given], parts))
                plan.signed.append(any(is_signed(arg, layers, inputs=inputs) for arg in given))
            plan.reads[layer.name] = known[key]
            if layer.type in WEIGHTED:
                plan.own[layer.name] = [plan.add(x, settings) for x in _constants(layer)]
        return plan

    def add(self, tensor: Tensor, settings: PathSettings) -> int:
        """The number that a weight or bias gets."""
        parts, behind = constant_of(tensor, settings.weights, settings.bits)
        self.tensors.append(tensor)
        self.parts.append(parts)
        self.behind.append(behind)
        return len(self.tensors) - 1


@dataclass(frozen=True, eq=False)
class _Factors:
    """By what the bits of values are multiplied for "ebops".

    read [E]: the part of what is read that each value multiplies, the last one where it is added. places [E]:
    how often it is used for a sample. summed [R]: how often each part of what is read is added so.
    """

    read: Tensor
    places: Tensor
    summed: Tensor

    @classmethod
    def of(
        cls,
        plan: _Plan,
        reads: ReadWidths,
        constants: ConstantWidths,
        values: Mapping[str, Tensor],
        layers: Mapping[str, Layer],
    ) -> _Factors:
        ones = len(reads.whole)
        begins = [0, *itertools.accumulate(reads.sizes)]
        read, places = (torch.zeros_like(constants.value, dtype=t) for t in (torch.long, torch.float32))
        summed = torch.zeros(ones)
        each_read, each_places = constants.each(read), constants.each(places)
        for name, number in plan.reads.items():
            layer, begin, size = layers[name], begins[number], reads.sizes[number]
            if layer.type in SUMS:
                given = next(arg for arg in layer.node.all_input_nodes if arg.name in values)
                summed[begin : begin + size] += values[given.name][0].numel() / size
                continue
            assert layer.module is not None
            weight, *bias = plan.own[name]
            each_read[weight].copy_(begin + inputs_of(layer.module, each_read[weight]) % size)
            for other in bias:
                each_read[other].fill_(ones)
            for other in plan.own[name]:
                each_places[other].fill_(places_of(layer.module, values[name].shape))
        return cls(read, places, summed)


def _constants(layer: Layer) -> list[Tensor]:
    """The weight of a layer and its bias, if it has one."""
    found = [getattr(layer.module, name, None) for name in NAMES]
    return [tensor for tensor in found if isinstance(tensor, Tensor)]


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
