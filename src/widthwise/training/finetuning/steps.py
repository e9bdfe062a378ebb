"""The steps of a network's formats as parameters, and the network with what they have come to."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from widthwise.formats.learned import LearnedStep
from widthwise.network.scheme import TENSORS, Scheme, TensorName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from widthwise.formats.base import Format
    from widthwise.network.graph import Graph
    from widthwise.network.layer import Layer


@dataclass(frozen=True, eq=False)
class Steps:
    """A graph whose formats have trained steps, and its schemes by layer; what shared a format shares its
    step."""

    graph: Graph
    schemes: Mapping[str, Scheme]

    @classmethod
    def of(cls, graph: Graph) -> Steps:
        """A copy of the graph whose formats with fixed steps are trained."""
        own = graph.schemes
        known: dict[Hashable, LearnedStep | None] = {}
        found: dict[str, Scheme] = {}
        for layer in graph.layers:
            scheme = own[layer.name]
            for tensor in TENSORS:
                fmt = scheme[tensor]
                key = (_read_by(layer, tensor), fmt)
                if key not in known:
                    known[key] = LearnedStep.of(fmt)
                if (learned := known[key]) is not None:
                    scheme = replace(scheme, **{tensor: learned})
            if scheme:
                found[layer.name] = scheme
        return cls(graph.quantized(found), found)

    def parameters(self, device: str) -> list[nn.Parameter]:
        """Each once, on the device from now on."""
        learned = [fmt for scheme in self.schemes.values() for fmt in _learned(scheme)]
        found = {id(each.growth): each.growth for each in learned}
        for parameter in found.values():
            parameter.data = parameter.data.to(device)
        return list(found.values())

    def settled(self) -> Graph:
        """The graph with the formats that have come of it."""
        return self.graph.quantized(
            {
                name: replace(scheme, **{tensor: _now(scheme[tensor]) for tensor in TENSORS})
                for name, scheme in self.schemes.items()
            }
        )


def _read_by(layer: Layer, tensor: TensorName) -> Hashable:
    """What tells a tensor that is read in a layer from others: where it comes from, or who stores it."""
    if tensor == "data_in":
        return str(layer.node.args[0]) if layer.node.args else layer.name
    stored = layer.stored.get(tensor, ())
    return stored[0].identity if len(stored) == 1 else (layer.name, tensor)


def _learned(scheme: Scheme) -> list[LearnedStep]:
    return [fmt for tensor in TENSORS if isinstance(fmt := scheme[tensor], LearnedStep)]


def _now(fmt: Format | None) -> Format | None:
    return fmt.now if isinstance(fmt, LearnedStep) else fmt
