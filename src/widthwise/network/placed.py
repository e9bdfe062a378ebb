"""A network that runs as it is, while the calls at some places compute with schemes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from widthwise.core.errors import UserError
from widthwise.network.operands import Operand
from widthwise.network.places import UNKNOWN, Place, followed
from widthwise.network.quantized import StoredTensors, computed
from widthwise.network.scheme import Scheme


@dataclass(frozen=True)
class PlacedLayer:
    """A layer whose call computes with a scheme."""

    name: str
    kind: str
    of: tuple[Operand, ...]
    scheme: Scheme


class Placed(nn.Module):
    """A network whose calls at some places compute with schemes.

    Its modules, parameters and buffers are the network's own, under the same names. Raises UserError where a
    place is out of reach because the network runs layers that are none of its own.
    """

    def __init__(self, network: nn.Module, layers: Mapping[Place, PlacedLayer]) -> None:
        super().__init__()
        self.__dict__ |= {
            "network": network,
            "_parameters": network._parameters,
            "_buffers": network._buffers,
            "_modules": network._modules,
        }
        self.training = network.training
        self.layers = dict(layers)
        self.stored = StoredTensors()

    def at_places(self) -> _AtPlaces:
        """What takes over the calls of one run."""
        return _AtPlaces(self.layers, self.stored)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the network returns."""
        handle, network = self.at_places(), self.__dict__["network"]
        was, network.training = network.training, self.training
        try:
            with followed(network, handle):
                result = network(*args, **kwargs)
        finally:
            network.training = was
        handle.check()
        return result


@dataclass(eq=False)
class _AtPlaces:
    layers: Mapping[Place, PlacedLayer]
    stored: StoredTensors
    met: set[Place] = field(default_factory=set)

    def __call__(
        self, place: Place, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        self.met |= {place, place.every}
        layer = self.layers.get(place) or self.layers.get(place.every)
        if layer is None:
            return function(*args, **kwargs)
        return computed(layer.kind, function, (args, kwargs), layer.of, layer.scheme, self.stored, layer.name)

    def check(self) -> None:
        """Raises UserError for a layer that the run never came to while it ran layers of something else."""
        missing = [layer.name for place, layer in self.layers.items() if place not in self.met]
        if missing and any(place.module == UNKNOWN for place in self.met):
            raise UserError(out_of_reach(missing))


def out_of_reach(names: list[str]) -> str:
    """Why formats do not apply to these layers, and what to do."""
    return (
        f"{', '.join(names)}: can't be reached, so formats would not apply: the network runs layers that are "
        "none of its modules (a closure, or what a copy still holds of the original); build the network anew "
        "in place of copying it, or keep the layers as attributes"
    )
