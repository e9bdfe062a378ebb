"""A network that runs as it is, while the calls at some places compute with schemes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from widthwise.network.computing import computed
from widthwise.network.course import Course, Walked
from widthwise.network.places import Place, followed
from widthwise.network.scheme import Scheme
from widthwise.network.seen import check_seen
from widthwise.network.stored_tensors import StoredTensors


class Placed(nn.Module):
    """A network whose calls at some places compute with schemes.

    schemes: of the layers of the course, by name. Its modules, parameters and buffers are the network's own,
    under the same names. Raises UserError where a run goes another way than the one that was recorded, and
    where a place is out of reach because the network runs layers that are none of its own.
    """

    def __init__(self, network: nn.Module, course: Course, schemes: Mapping[str, Scheme]) -> None:
        super().__init__()
        self.__dict__ |= {
            "network": network,
            "_parameters": network._parameters,
            "_buffers": network._buffers,
            "_modules": network._modules,
        }
        self.training = network.training
        self.course, self.schemes = course, dict(schemes)
        self.stored = StoredTensors()

    def at_places(self) -> _AtPlaces:
        """What takes over the calls of one run."""
        return _AtPlaces(self.course, self.schemes, self.stored)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the network returns."""
        check_seen(type(self.__dict__["network"]).__name__, args, kwargs)
        handle, network = self.at_places(), self.__dict__["network"]
        was, network.training = network.training, self.training
        try:
            with followed(network, handle):
                result = network(*args, **kwargs)
        finally:
            network.training = was
        handle.walked.check()
        return result


class _AtPlaces:
    def __init__(self, course: Course, schemes: Mapping[str, Scheme], stored: StoredTensors) -> None:
        self.walked, self.schemes, self.stored = Walked(course), schemes, stored

    def __call__(
        self, place: Place, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        layer = self.walked.layer(place, (args, kwargs))
        if layer is None:
            return function(*args, **kwargs)
        scheme = self.schemes[layer.name]
        return computed(layer.type, function, (args, kwargs), layer.of, scheme, self.stored, layer.name)
