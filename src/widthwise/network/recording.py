"""Recording: the calls that a network makes in one run, as an fx graph that tells what reads what."""

from __future__ import annotations

import dataclasses
import inspect
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate
from torch.utils._pytree import tree_leaves, tree_map_only

from widthwise.network.asked import LIKE, without_values
from widthwise.network.layers import QUANTISABLE, is_torchs, layer_type
from widthwise.network.operands import Call
from widthwise.network.places import UNKNOWN, Place, followed
from widthwise.network.quantized import same_kind
from widthwise.network.undisturbed import undisturbed

PLACE, KIND, FUNCTION = "place", "kind", "function"  # keys of a node's meta

# torch's own layers whose function has another name: what a ReLU6 calls is hardtanh
_OTHERWISE_NAMED = {"relu6": "hardtanh"}


@dataclass(frozen=True)
class Foreign:
    """Stands in a call's arguments for a tensor that neither the network holds nor a call made.

    lasting: whether it was there before the run, as what lies in a plain list; else it was made in the run by
    what is no function of torch, as NumPy is, and is data.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    trained: bool  # a parameter of something that is no module of the network, or like one
    identity: int  # of the tensor
    lasting: bool

    @property
    def elements(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)


def recorded(network: nn.Module, call: Call) -> fx.Graph:
    """The calls of one run in eval mode without gradients, a node each; a description, never executed.

    Calls of a layer's own kind within it (linear in a Linear) are one call_module node with the layer's name,
    however often the layer runs; others are named by the module that makes them and the function.
    meta["place"] says where a call is made, meta["kind"] which layer type it is, meta["function"] what is
    called. Raises whatever the network raises.
    """
    first = _run_recorded(network, call, {})
    if not first.foreign:
        return first.graph
    return _run_recorded(network, call, first.foreign).graph  # what both runs read is the network's own


def _run_recorded(network: nn.Module, call: Call, lasting: Mapping[int, Tensor]) -> _Recorder:
    """What a run was recorded by. lasting: tensors that there were before it, by identity."""
    args, kwargs = tree_map_only(Tensor, torch.clone, call)  # the network may change its inputs
    recorder = _Recorder(network, lasting)
    recorder.placeholders(named_arguments(network, (args, kwargs)))
    with undisturbed(network), torch.no_grad(), followed(network, recorder):
        result = network(*args, **kwargs)
    recorder.graph.output(map_aggregate(plain(result), recorder.node_of))
    return recorder


def named_arguments(network: nn.Module, call: Call) -> dict[str, Any]:
    """The arguments of a call of a network by the names that its forward has for them."""
    bound = inspect.signature(network.forward).bind(*call[0], **call[1])
    found: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            found |= {f"{name}_{place}": item for place, item in enumerate(value)}
        elif kind is inspect.Parameter.VAR_KEYWORD:
            found |= value
        else:
            found[name] = value
    return found


def plain(value: Any) -> Any:
    """What a network returns, dataclasses as dicts."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and not isinstance(value, Mapping):
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    return value


@dataclass(eq=False)
class _Recorder:
    network: nn.Module
    lasting: Mapping[int, Tensor]
    graph: fx.Graph = field(default_factory=fx.Graph)
    # by identity of the tensor: what made it, and which part it is of several
    sources: dict[int, fx.Node | tuple[fx.Node, int]] = field(default_factory=dict)
    alive: list[Tensor] = field(default_factory=list)  # so that an identity stays that of one tensor
    foreign: dict[int, Tensor] = field(default_factory=dict)  # alive as well

    def __post_init__(self) -> None:
        self.modules = dict(self.network.named_modules())
        held = chain(self.network.named_parameters(), self.network.named_buffers())
        self.held = {id(tensor): name for name, tensor in held}
        self.own: dict[Place, fx.Node] = {}  # the nodes of layers

    def placeholders(self, named: Mapping[str, Any]) -> None:
        """A node for each of the network's arguments."""
        for name, value in named.items():
            self._made(value, self.graph.placeholder(name))

    def __call__(
        self, place: Place, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        # before the call, which may change what it reads
        if layer_type(function) in LIKE:
            args_read, kwargs_read = without_values((args, kwargs), self.node_of)
        else:
            args_read, kwargs_read = map_aggregate((tuple(args), dict(kwargs)), self.node_of)
        result = function(*args, **kwargs)
        changes = place.function == "__setitem__"
        if changes or any(isinstance(leaf, Tensor) for leaf in tree_leaves(result)):
            self._made(args[0] if changes else result, self._added(place, function, args_read, kwargs_read))
        return result

    def _added(self, place: Place, function: Callable[..., Any], args: Any, kwargs: Any) -> fx.Node:
        kind, module = layer_type(place.function), self.modules.get(place.module)
        within = layer_type(module) if module is not None else ""
        path = "elsewhere" if place.module == UNKNOWN else place.module.replace(".", "_")
        if module is not None and place.module and _is_own(kind, within, module):
            place, kind = place.every, within
            if place in self.own:
                return self.own[place]
            node = self.graph.create_node("call_module", place.module, args, kwargs, name=path)
            self.own[place] = node
        else:
            name = "_".join(part for part in (path, kind) if part)
            node = self.graph.create_node("call_function", function, args, kwargs, name=name)
        node.meta |= {PLACE: place, KIND: kind, FUNCTION: function}
        return node

    def node_of(self, leaf: Any) -> Any:
        """The node that made a tensor; what is no tensor as it is."""
        if not isinstance(leaf, Tensor):
            return leaf
        found = self.sources.get(id(leaf))
        if found is not None:
            return found if isinstance(found, fx.Node) else self._part(leaf, *found)
        name = self.held.get(id(leaf))
        if name is None:
            self.foreign[id(leaf)] = leaf
            trained = isinstance(leaf, nn.Parameter) or leaf.requires_grad
            return Foreign(tuple(leaf.shape), leaf.dtype, trained, id(leaf), id(leaf) in self.lasting)
        node = self.graph.get_attr(name)
        self.sources[id(leaf)] = node
        return node

    def _part(self, leaf: Tensor, whole: fx.Node, place: int) -> fx.Node:
        """A node for one of several tensors that a call gave."""
        node = self.graph.call_function(operator.getitem, (whole, place))
        self.sources[id(leaf)] = node
        return node

    def _made(self, value: Any, node: fx.Node) -> None:
        parts = plain(value)
        for leaf in tree_leaves(parts):
            if isinstance(leaf, Tensor):
                self.sources[id(leaf)] = node
                self.alive.append(leaf)
        if isinstance(parts, tuple | list):
            places = {id(part): (node, place) for place, part in enumerate(parts) if isinstance(part, Tensor)}
            self.sources |= places


def _is_own(kind: str, within: str, module: nn.Module) -> bool:
    """Whether a call is what its module is: the linear of a Linear, the hardtanh of a ReLU6."""
    if within not in QUANTISABLE:
        return False
    return same_kind(kind, within) or (is_torchs(type(module)) and _OTHERWISE_NAMED.get(within) == kind)
