"""Layers of a traced network put into wrappers, where they lie, so that they compute with schemes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import fx, nn

from widthwise.network.called import called_function
from widthwise.network.layer import Layer
from widthwise.network.layers import FunctionLayer
from widthwise.network.operands import Operand
from widthwise.network.output_channels import for_layer
from widthwise.network.quantized import Quantized
from widthwise.network.scheme import Scheme

Wrap = Callable[[nn.Module, Scheme, Sequence[Operand] | None], nn.Module]


def wrap_layer(model: fx.GraphModule, layer: Layer, scheme: Scheme, wrap: Wrap) -> None:
    """Changes the model so that a layer of it computes with a scheme, or in float where that is empty."""
    node = layer.node
    module = model.get_submodule(str(node.target)) if node.op == "call_module" else None
    inner = module.layer if isinstance(module, Quantized) else module
    of = module.of if isinstance(module, Quantized) else layer.of
    if inner is None:
        if not scheme:
            return
        inner = FunctionLayer(called_function(node))
    scheme = for_layer(scheme, layer)
    wrapped = wrap(inner, scheme, of) if scheme or isinstance(inner, FunctionLayer) else inner
    target = _own_target(model, node)
    parent, _, name = target.rpartition(".")
    setattr(model.get_submodule(parent), name, wrapped)
    _readers_follow(model, target)
    if node.op != "call_module":
        node.op = "call_module"
    node.target = target


def _own_target(model: fx.GraphModule, node: fx.Node) -> str:
    """Where the node's module lies: a module that several nodes share gets a place for each of them."""
    target = str(node.target)
    if node.op == "call_module":
        readers = [other for other in model.graph.nodes if other.target == node.target]
        if len(readers) == 1:
            return target
    target = (
        f"{node.name}_layer" if node.op != "call_module" else f"{target.replace('.', '_')}_of_{node.name}"
    )
    while hasattr(model, target):
        target += "_"
    return target


def _readers_follow(model: fx.GraphModule, target: str) -> None:
    """Nodes that read what lies in a layer find it where its wrapper, or none, now holds it."""
    wrapped = isinstance(model.get_submodule(target), Quantized)
    for node in model.graph.nodes:
        if node.op == "get_attr" and str(node.target).startswith(f"{target}."):
            name = str(node.target).removeprefix(f"{target}.").removeprefix("layer.")
            node.target = f"{target}.layer.{name}" if wrapped else f"{target}.{name}"
