"""Post-training help for a network with formats, layer by layer: biases corrected, weights rounded.

Nothing is trained through the network: each layer is compared with the float network's on training samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from widthwise.network.calling import call
from widthwise.network.quantized import Quantized
from widthwise.training.finetuning.rounding import Reconstruction, adaptively_rounded, can_round

if TYPE_CHECKING:
    from widthwise.data.batches import Takes
    from widthwise.data.blocks import DataBlock
    from widthwise.network.graph import Graph
    from widthwise.network.scheme import Scheme

KINDS = ("linear", "conv1d", "conv2d", "conv3d")


@dataclass(frozen=True, eq=False)
class Place:
    """A layer in a network with formats and in the float one.

    layer: the module that has the weight. kind: its type. own, other: the modules that give its outputs in
    the two networks.
    """

    name: str
    kind: str
    scheme: Scheme
    layer: nn.Module
    own: nn.Module
    other: nn.Module

    def means(self, x: Tensor) -> Tensor:
        """Of outputs, by channel [channels]: sums over all else."""
        moved = x if self.kind == "linear" else x.movedim(1, -1)
        return moved.reshape(-1, moved.shape[-1]).double().sum(0)


@dataclass(frozen=True, eq=False)
class Help:
    """What is compared: a network with formats, changed in place; the float one; samples to train on."""

    graph: Graph
    teacher: Graph
    blocks: Sequence[DataBlock]
    takes: Takes

    @cached_property
    def places(self) -> list[Place]:
        """The linear layers and convolutions that are modules and have a weight in a format, in order."""
        if (
            "fx" not in (self.graph.capture, self.teacher.capture)
            or self.graph.capture != self.teacher.capture
        ):
            return []
        schemes, found = self.graph.schemes, []
        for layer in self.graph.layers:
            own, other = (_module(graph, layer.name) for graph in (self.graph, self.teacher))
            if (
                layer.type in KINDS
                and schemes[layer.name].weight is not None
                and isinstance(own, Quantized)
                and other
            ):
                found.append(Place(layer.name, layer.type, schemes[layer.name], own.layer, own, other))
        return found

    def correct_biases(self) -> tuple[str, ...]:
        """Adds to each bias what the layer's mean outputs lack of the float network's; what was left out.

        Layer by layer in order, so that each makes up for those before it too. Source: Nagel et al. 2019,
        Data-free quantization, section 4.2, with data in place of batch norms.
        """
        wanted = self._sums(self.teacher.model, [(place, place.other) for place in self.places])
        left: list[str] = []
        for place in self.places:
            bias = place.layer.bias
            if bias is None:
                left.append(f"{place.name}: has no bias, so none is corrected")
                continue
            (found,) = self._sums(self.graph.model, [(place, place.own)]).values()
            (sums, count), (mine, _) = wanted[place.name], found
            with torch.no_grad():
                cast(Tensor, bias).add_(((sums - mine) / count).to(cast(Tensor, bias)))
        return tuple(left)

    def round_adaptively(self, steps: int, seed: int) -> tuple[str, ...]:
        """Rounds weights of under 5 bits up or down, as outputs of layers come nearest the float network's;
        what was left out."""
        left = []
        for place in self.places:
            if (why := can_round(place.scheme.weight)) is not None:
                left.append(f"{place.name}: weight in {place.scheme.weight!r} is rounded to nearest, {why}")
                continue
            inputs = torch.cat(list(self._seen(self.graph.model, place.own, read=True)))
            outputs = torch.cat(list(self._seen(self.teacher.model, place.other, read=False)))
            adaptively_rounded(Reconstruction(place.layer, place.scheme, inputs, outputs), steps, seed)
        return tuple(left)

    def _sums(
        self, model: nn.Module, at: Sequence[tuple[Place, nn.Module]]
    ) -> Mapping[str, tuple[Tensor, float]]:
        """Sums of outputs [channels] of modules, and over how many values each, by the place's name."""
        found: dict[str, tuple[Tensor, float]] = {}

        def add(place: Place) -> Callable[..., None]:
            def hook(module: nn.Module, args: Any, x: Tensor) -> None:
                sums = place.means(x.detach())
                before, count = found.get(place.name, (torch.zeros_like(sums), 0.0))
                found[place.name] = before + sums, count + x.numel() / len(sums)

            return hook

        with _hooked([module.register_forward_hook(add(place)) for place, module in at]), torch.no_grad():
            for block in self.blocks:
                call(model, block.inputs, self.takes)
        return found

    def _seen(self, model: nn.Module, module: nn.Module, *, read: bool) -> Iterator[Tensor]:
        """What a module reads, or gives, for each block."""
        seen: list[Tensor] = []

        def hook(module: nn.Module, args: Any, x: Tensor) -> None:
            seen.append((args[0] if read else x).detach())

        with _hooked([module.register_forward_hook(hook)]), torch.no_grad():
            for block in self.blocks:
                call(model, block.inputs, self.takes)
                yield seen.pop()


def _module(graph: Graph, name: str) -> nn.Module | None:
    node = graph.node(name)
    return graph.modules.get(str(node.target)) if node.op == "call_module" else None


@contextmanager
def _hooked(handles: Sequence[Any]) -> Iterator[None]:
    """The hooks are there inside alone."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
