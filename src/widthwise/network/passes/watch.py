"""Running a network once while watching what each of its nodes reads and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, fx
from torch.utils._pytree import tree_leaves, tree_map_only

from widthwise.core.errors import UserError, unknown
from widthwise.network.capture import Example, as_call, cannot_run
from widthwise.network.computing import data_of_call
from widthwise.network.graph import Graph
from widthwise.network.layer import Layer
from widthwise.network.operands import Call
from widthwise.network.placed import Placed
from widthwise.network.places import Handle, Place, followed, plainly
from widthwise.network.quantized import data_of_layer
from widthwise.network.recording import PLACE, named_arguments
from widthwise.network.undisturbed import run_in_eval_mode, undisturbed

Note = Callable[[str, tuple[Tensor, ...]], None]  # a node's name and tensors


def watch(
    graph: Graph,
    example: Example,
    *,
    before: Note | None = None,
    after: Note | None = None,
    data: bool = False,
) -> tuple[Tensor, ...]:
    """Runs the network in eval mode without gradients, watching each node; returns the inputs.

    `before` is called with what a node reads before it runs, `after` with what it gives. With `data` that is
    what a data_in format applies to: neither weights nor masks, but what the products inside attention and
    recurrent layers read. Either must copy what it keeps: a later layer may change it in place. `example` is
    the network's input [samples, …], several of them in a sequence, or names to inputs, and stays as it is.
    Raises UserError where the network can't be run on the example, naming the node where it knows it.
    """
    call = _call(graph, example)
    args, kwargs = tree_map_only(Tensor, torch.clone, call)
    layers = {layer.name: layer for layer in graph.layers} if data else {}
    watcher = _Watcher(before or _nothing, after or _nothing, layers)
    if graph.capture == "fx":
        model = cast(fx.GraphModule, graph.model)
        run_in_eval_mode(model, *_positional(model, args, kwargs), run=_Watched(model, watcher).run)
    else:
        _run_followed(graph, (args, kwargs), watcher)
    return tensors_in(call)


def tensors_in(values: Any) -> tuple[Tensor, ...]:
    """The tensors in nested lists, tuples and dicts, in their order."""
    return tuple(leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor))


def _call(graph: Graph, example: Example) -> Call:
    """Positional and named arguments; raises UserError for a name that the network doesn't have."""
    call = as_call(graph.network, example)
    if graph.capture == "fx":
        names = [str(node.target) for node in graph.fx_graph.nodes if node.op == "placeholder"]
        for name in call[1]:
            if name not in names:
                raise unknown("input", name, names, where=type(graph.model).__name__)
    return call


def _positional(model: fx.GraphModule, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    """The arguments in the order of the graph's placeholders, defaults filled in."""
    placeholders = [node for node in model.graph.nodes if node.op == "placeholder"]
    if not kwargs and len(args) >= len([node for node in placeholders if not node.args]):
        return args
    given = dict(zip((str(node.target) for node in placeholders), args, strict=False)) | dict(kwargs)
    for node in placeholders:
        if str(node.target) not in given and not node.args:
            raise UserError(f"{type(model).__name__}: its input {node.target} has no value; give it one")
    return tuple(
        given[str(node.target)] if str(node.target) in given else node.args[0] for node in placeholders
    )


@dataclass(frozen=True)
class _Watcher:
    before: Note
    after: Note
    layers: Mapping[str, Layer]  # whose data is watched; none: all tensors of all nodes

    def called(self, name: str, call: Call) -> None:
        """Tell what a node reads."""
        if not self.layers:
            self.before(name, tensors_in(call))
        elif name in self.layers:
            self.before(name, _data(self.layers[name], call))


def _data(layer: Layer, call: Call) -> tuple[Tensor, ...]:
    """What a layer's data_in applies to."""
    if layer.function is not None:
        return data_of_call(layer.type, layer.function, call, layer.of)
    return () if layer.module is None else data_of_layer(layer.module, call)


def _nothing(name: str, values: tuple[Tensor, ...]) -> None:
    """A note that is not taken."""


class _Watched(fx.Interpreter):
    """Runs a graph node by node."""

    def __init__(self, model: fx.GraphModule, watcher: _Watcher) -> None:
        super().__init__(model)
        self.extra_traceback = False
        self.watcher = watcher

    def run_node(self, n: fx.Node) -> Any:
        """The node's value; raises UserError that names the node and the shapes it was given."""
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        self.watcher.called(n.name, (args, kwargs))
        try:
            value = super().run_node(n)
        except UserError:
            raise
        except Exception as error:  # whatever the user's layer raises
            raise cannot_run(n.name, (args, kwargs), error) from error
        self.watcher.after(n.name, tensors_in(value))
        return value


def _run_followed(graph: Graph, call: Call, watcher: _Watcher) -> None:
    """Runs a recorded network, each of whose nodes is a call at a place."""
    network, model = graph.network, graph.model
    inner = model.at_places() if isinstance(model, Placed) else plainly
    handle = _WatchedPlaces(
        {node.meta.get(PLACE): node.name for node in graph.fx_graph.nodes}, inner, watcher
    )
    for name, value in named_arguments(network, call).items():
        watcher.after(name, tensors_in(value))
    try:
        with undisturbed(network), torch.no_grad(), followed(network, handle):
            network(*call[0], **call[1])
    except UserError:
        raise
    except Exception as error:  # whatever the user's network raises
        raise cannot_run(type(network).__name__, call, error, network) from error


@dataclass(frozen=True)
class _WatchedPlaces:
    names: Mapping[Place | None, str]
    inner: Handle
    watcher: _Watcher

    def __call__(
        self, place: Place, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        name = self.names.get(place) or self.names.get(place.every)
        if name is None:
            return self.inner(place, function, args, kwargs)
        self.watcher.called(name, (args, kwargs))
        value = self.inner(place, function, args, kwargs)
        self.watcher.after(name, tensors_in(value))
        return value
