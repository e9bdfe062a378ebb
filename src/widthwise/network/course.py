"""Whether a run makes the calls that a recorded network was recorded with, as its formats are for these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from torch import fx, nn

from widthwise.core.errors import UserError
from widthwise.network.layer import Layer
from widthwise.network.layers import layer_type
from widthwise.network.operands import Call, at
from widthwise.network.places import EVERY, UNKNOWN, Place
from widthwise.network.quantized import same_kind
from widthwise.network.recording import PLACE

_MEND = (
    "so formats would apply to other calls than they are meant for; let the network decide by shapes in "
    "place of values, or capture it on inputs with which it makes all its calls: Graph(network, example)"
)


class Course:
    """The calls of a recorded network, and those of them that have formats."""

    def __init__(self, graph: fx.Graph, layers: Iterable[Layer]) -> None:
        places = [node.meta[PLACE] for node in graph.nodes if PLACE in node.meta]
        self.layers = {layer.node.meta[PLACE]: layer for layer in layers}
        self.known = frozenset(places)
        self.often = Counter((x.module, x.function) for x in places if x.occurrence != EVERY)
        self.kinds = {layer.type for layer in self.layers.values()}
        self.roots = {
            (place, tensor): {id(stored.root) for stored in found}
            for place, layer in self.layers.items()
            for tensor, found in layer.stored.items()
            if layer.module is None and all(stored.root is not None for stored in found)
        }

    def is_strange(self, place: Place) -> bool:
        """Whether a call of a kind that has formats was none of the recorded."""
        if place in self.known or place.every in self.known or place.module == UNKNOWN:
            return False
        kind = layer_type(place.function)
        return any(same_kind(kind, other) for other in self.kinds)

    def reads_others(self, place: Place, call: Call) -> bool:
        """Whether a function is given another stored tensor than it was recorded with."""
        for operand in self.layers[place].of if place in self.layers else ():
            roots = self.roots.get((place, operand.role))
            if roots is not None and not _is_of(at(call, operand.path), roots):
                return True
        return False


def _is_of(value: Any, roots: set[int]) -> bool:
    """Whether a tensor is, or is a view of, one of these parameters; what is of no parameter may be."""
    root = value if isinstance(value, nn.Parameter) else getattr(value, "_base", None)
    return not isinstance(root, nn.Parameter) or id(root) in roots


@dataclass(eq=False)
class Walked:
    """One run, and how far it follows a course."""

    course: Course
    met: set[Place] = field(default_factory=set)
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    strange: Place | None = None

    def layer(self, place: Place, call: Call) -> Layer | None:
        """Notes a call; the layer that it is, if it has a format."""
        found = place if place in self.course.layers else place.every
        self.met |= {place, found}
        self.calls[place.module, place.function] += 1
        if self.strange is None and (self.course.is_strange(place) or self.course.reads_others(found, call)):
            self.strange = place
        return self.course.layers.get(found)

    def check(self) -> None:
        """Raises UserError where formats were not applied to the calls that they are for."""
        layers = self.course.layers
        missing = [layer.name for place, layer in layers.items() if place not in self.met]
        if missing and any(place.module == UNKNOWN for place in self.met):
            raise UserError(out_of_reach(missing))
        if self.strange is not None:
            raise UserError(f"{_named(self.strange)}: was not called when the network was captured, {_MEND}")
        for place, layer in layers.items():
            key = (place.module, place.function)
            times, often = self.calls[key], self.course.often[key]
            if place.occurrence != EVERY and 0 < times < often:
                raise UserError(f"{layer.name}: called {often} times at capture, {times} times now, {_MEND}")


def _named(place: Place) -> str:
    return f"{place.module or 'the network'} ({place.function})"


def out_of_reach(names: list[str]) -> str:
    """Why formats do not apply to these layers, and what to do."""
    return (
        f"{', '.join(names)}: can't be reached, so formats would not apply: the network runs layers that are "
        "none of its modules (a closure, or what a copy still holds of the original); build the network anew "
        "in place of copying it, or keep the layers as attributes"
    )
