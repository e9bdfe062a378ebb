"""The tensors that a network stores, as its layers read them: weights and biases, whatever makes them."""

from __future__ import annotations

from dataclasses import dataclass
from operator import methodcaller
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

from widthwise.network.asked import LIKE, NOTED, asked_about, asked_alone
from widthwise.network.layers import layer_type
from widthwise.network.operations import EMBEDDINGS
from widthwise.network.recording import FUNCTION, KIND, Foreign

# what moves numbers, or gives them another type, and computes none
_VIEWS = {
    *("t", "T", "mT", "transpose", "permute", "view", "reshape", "flatten", "unflatten", "squeeze"),
    *("unsqueeze", "detach", "contiguous", "clone", "swapaxes", "movedim", "data", "requires_grad_"),
    *("getitem", "narrow", "select", "chunk", "split", "unbind"),  # parts
    *("expand", "broadcast_to", "repeat", "tile", "repeat_interleave"),  # the same several times
    *("float", "double", "half", "bfloat16", "type", "cpu", "cuda"),
    *LIKE,
}


@dataclass(frozen=True, eq=False)
class Stored:
    """A tensor that a layer reads and that follows from parameters alone.

    name: of the parameter, or of the node that makes it. value: the tensor that is used. root: the parameter
    whose numbers these are, or some of them, so that readers of one tensor are known; None where it is made
    of several.
    """

    name: str
    value: Tensor
    root: Tensor | None

    @property
    def own_name(self) -> str:
        """Its name in its layer: weight of fc.weight."""
        return self.name.rpartition(".")[2]

    @property
    def whole(self) -> Tensor:
        """The tensor that is stored, of which `value` may be a part."""
        if self.root is None or self.root.numel() == self.value.numel():
            return self.value
        return self.root.detach()

    @property
    def identity(self) -> int | str:
        """Equal for readers of the same stored numbers."""
        return self.name if self.root is None else id(self.root)


class StoredNodes:
    """Which nodes of a graph follow from the network's parameters and buffers alone, and their values."""

    def __init__(self, graph: fx.Graph, model: nn.Module) -> None:
        self.model = model
        self.constant: set[fx.Node] = set()  # of parameters, buffers and constants
        self.trained: set[fx.Node] = set()  # of these, of at least one parameter
        self.shaped: set[fx.Node] = set()  # of the constant ones, those that follow shapes of the data too
        self.unknown: set[fx.Node] = set()  # that would be constant, had it been noted what they ask for
        self._asked = asked_alone(graph)
        self._values: dict[fx.Node, Any] = {}
        for node in graph.nodes:
            self._sort(node)

    def _sort(self, node: fx.Node) -> None:
        if node.op == "get_attr":
            self.constant.add(node)
            if is_trained(attribute(self.model, str(node.target))):
                self.trained.add(node)
        elif node.op.startswith("call_"):
            about = asked_about(node)
            reads = [read for read in node.all_input_nodes if read not in about]
            if any(
                isinstance(leaf, Foreign | np.ndarray) for leaf in tree_leaves((node.args, dict(node.kwargs)))
            ):
                return
            if self._looks_up(node):  # by positions, say, of which there may be more another time
                return
            held = [read for read in reads if read in self.constant or read in self.unknown]
            if held and all(read in held or read in self._asked for read in reads):
                self._sort_stored(node, held, [read for read in (*reads, *about) if read not in held])
            elif not reads and node.op == "call_function":
                self.constant.add(node)

    def _sort_stored(self, node: fx.Node, held: list[fx.Node], asked: list[fx.Node]) -> None:
        """A node that follows from what is stored, and from shapes and types of the data."""
        if not self.unknown.isdisjoint(held) or not all(map(self._is_noted, asked)):
            self.unknown.add(node)
            return
        self.constant.add(node)
        if not self.trained.isdisjoint(held):
            self.trained.add(node)
        if asked or not self.shaped.isdisjoint(held):
            self.shaped.add(node)

    def _is_noted(self, node: fx.Node) -> bool:
        """Whether it can be told what a node asks for, or what it makes of that."""
        if node in self.constant or NOTED in node.meta:
            return True
        return node in self._asked and all(map(self._is_noted, node.all_input_nodes))

    def _looks_up(self, node: fx.Node) -> bool:
        """Whether a node reads rows of a table."""
        if node.op == "call_module" and KIND not in node.meta:
            return layer_type(self.model.get_submodule(str(node.target))) in EMBEDDINGS
        return (node.meta.get(KIND) or layer_type(node.target)) in EMBEDDINGS

    def value(self, node: fx.Node) -> Any:
        """What a constant node holds in eval mode; one that follows shapes, on the data of its capture."""
        if node not in self._values:
            self._values[node] = self._made(node)
        return self._values[node]

    def _made(self, node: fx.Node) -> Any:
        if node.op == "get_attr":
            return attribute(self.model, str(node.target))
        if NOTED in node.meta and node not in self.constant:
            return node.meta[NOTED]
        args, kwargs = fx.node.map_arg((node.args, dict(node.kwargs)), self.value)
        function: Any = node.meta.get(FUNCTION, node.target)
        if node.op == "call_module" and FUNCTION not in node.meta:
            function = self.model.get_submodule(str(node.target))
        elif isinstance(function, str):
            function = methodcaller(function, *args[1:], **kwargs)
            args, kwargs = args[:1], {}
        with torch.no_grad():
            return _on_copy(function, args, kwargs)

    def stored(self, node: fx.Node) -> Stored:
        """What a layer reads that reads this node."""
        at = node
        while (viewed := _viewed(at)) is not None:
            at = viewed
        value = next(leaf for leaf in tree_leaves(self.value(node)) if isinstance(leaf, Tensor))
        if at.op == "get_attr":
            return Stored(str(at.target), value.detach(), self.value(at))
        return Stored(node.name, value.detach(), None)


def _viewed(node: fx.Node) -> fx.Node | None:
    """The node whose numbers a node has, or some of them."""
    if node.op not in ("call_function", "call_method"):
        return None
    kind = node.meta.get(KIND) or layer_type(cast(Any, node.target))
    if kind == "getattr":  # a property: x.T
        kind = str(node.args[1])
    first = node.args[0] if node.args else None
    return first if kind in _VIEWS and isinstance(first, fx.Node) else None


def _on_copy(function: Any, args: Any, kwargs: Any) -> Any:
    """What a call gives, or what it makes of a copy of its first argument where it changes that."""
    name = getattr(function, "__name__", "")
    if name == "__setitem__":
        changed = args[0].clone()
        function(changed, *args[1:], **kwargs)
        return changed
    if name.endswith("_") and not name.endswith("__"):
        args = (args[0].clone(), *args[1:])
    return function(*args, **kwargs)


def is_trained(value: Any) -> bool:
    """Whether it is a parameter, or a tensor that is trained as one."""
    return isinstance(value, nn.Parameter) or (isinstance(value, Tensor) and value.requires_grad)


def attribute(model: nn.Module, path: str) -> Any:
    """What a network holds under a dotted path: a module, a parameter or anything else."""
    parent, _, name = path.rpartition(".")
    return getattr(model.get_submodule(parent), name)
