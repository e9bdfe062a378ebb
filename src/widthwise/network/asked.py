"""What a traced network asks about its tensors: shapes and types, noted from one run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_map_only

from widthwise.network.layers import layer_type
from widthwise.network.operands import Call
from widthwise.network.places import ASKING
from widthwise.network.undisturbed import undisturbed

NOTED = "noted"  # a key of a node's meta: what it asked for, or what is asked about its value
LIKE = {"to", "type_as", "view_as", "expand_as", "reshape_as"}
"""Calls that ask their further arguments for shapes and types alone."""


def asks(node: fx.Node) -> bool:
    """Whether a node gives something about a tensor that is no part of its values: its shape, its type."""
    if node.op == "call_method":
        return str(node.target) in ASKING
    return node.op == "call_function" and node.target is getattr and node.args[1] in ASKING


def asked_alone(graph: fx.Graph) -> set[fx.Node]:
    """The nodes that follow from shapes and types alone."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        reads = node.all_input_nodes
        if node.op.startswith("call_") and reads and (asks(node) or found.issuperset(reads)):
            found.add(node)
    return found


def asked_about(node: fx.Node) -> list[fx.Node]:
    """Of what a node reads, that of which it takes the shape and the type alone."""
    if not node.op.startswith("call_") or node.op == "call_module" or layer_type(node.target) not in LIKE:
        return []
    return [read for read in node.all_input_nodes if not node.args or read is not node.args[0]]


def note_asked(made: fx.GraphModule, network: nn.Module, named: Mapping[str, Any]) -> None:
    """Notes in a traced network what it asks for on these arguments, by one run of it."""
    wanted = {node for node in asked_alone(made.graph) if asks(node)}
    about = {read for node in made.graph.nodes for read in asked_about(node)}
    if wanted | about:
        with undisturbed(network), torch.no_grad():
            _Noting(made, named, wanted, about).run()


def without_values(call: Call, first: Callable[[Tensor], Any]) -> Call:
    """The arguments of one that is LIKE others, which are stand-ins; of what it works on `first` is told."""
    args, kwargs = call
    others = tree_map_only(Tensor, stand_in, args[1:])
    return (*map(first, args[:1]), *others), tree_map_only(Tensor, stand_in, kwargs)


def stand_in(x: Tensor) -> Tensor:
    """A tensor of the same shape and type that takes no memory."""
    return torch.zeros((), dtype=x.dtype, device=x.device).expand(x.shape)


class _Noting(fx.Interpreter):
    def __init__(
        self, made: fx.GraphModule, named: Mapping[str, Any], wanted: set[fx.Node], about: set[fx.Node]
    ) -> None:
        super().__init__(made)
        self.named, self.wanted, self.about = named, wanted, about

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n in self.wanted:
            n.meta[NOTED] = value
        elif n in self.about and isinstance(value, Tensor):
            n.meta[NOTED] = stand_in(value)
        return value

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> Any:
        given = self.named.get(str(target), args[0] if args else None)
        return tree_map_only(Tensor, torch.clone, given)
