"""What each node of a graph stores, every tensor counted where it is first read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

from widthwise.network.graph import Graph
from widthwise.network.layer import Layer
from widthwise.network.layers import QUANTISABLE
from widthwise.network.operands import Operand, at, leaves, operands
from widthwise.network.quantized import Quantized
from widthwise.network.recording import Foreign
from widthwise.network.stored import StoredNodes, attribute, is_trained


@dataclass(frozen=True)
class Elements:
    """Numbers that a node stores and no node before it."""

    weight_elements: int = 0
    bias_elements: int = 0
    other_parameters: int = 0
    buffer_elements: int = 0


def stored_elements(graph: Graph) -> dict[str, Elements]:
    """What every node stores, by its name.

    A weight that is made of parameters (normalised, pruned) counts as the tensor that is used; what it is
    made of is not needed when the network runs.
    """
    nodes = StoredNodes(graph.fx_graph, graph.model)
    layers = {layer.name: layer for layer in graph.layers}
    as_they_are = _read_as_they_are(graph.fx_graph, layers, nodes)
    seen: set[int | str] = set()
    found = {}
    for node in graph.fx_graph.nodes:
        counted = Elements()
        for field, identity, elements in _held(graph.model, node, layers.get(node.name), as_they_are):
            if identity not in seen:
                seen.add(identity)
                counted = replace(counted, **{field: getattr(counted, field) + elements})
        found[node.name] = counted
    if (node := first_from_elsewhere(graph.fx_graph)) is not None:
        unread = sum(p.numel() for p in _unread(graph))
        found[node.name] = replace(
            found[node.name], other_parameters=found[node.name].other_parameters + unread
        )
    return found


def first_from_elsewhere(graph: fx.Graph) -> fx.Node | None:
    """The first node that reads what was made in the run by no function of torch that is seen.

    Such are NumPy and functions of torch.jit, which may read any parameter of the network.
    """
    for node in graph.nodes:
        found = (leaf for leaf in tree_leaves((node.args, dict(node.kwargs))) if isinstance(leaf, Foreign))
        if any(not leaf.lasting for leaf in found):
            return cast(fx.Node, node)
    return None


def _unread(graph: Graph) -> Iterator[Tensor]:
    """Parameters that no function reads which is seen."""
    read = {id(attribute(graph.model, str(n.target))) for n in graph.fx_graph.nodes if n.op == "get_attr"}
    for module in (graph.modules[str(n.target)] for n in graph.fx_graph.nodes if n.op == "call_module"):
        read |= {id(parameter) for parameter in module.parameters()}
    yield from (p for p in graph.network.parameters() if id(p) not in read)


def _held(
    model: nn.Module, node: fx.Node, layer: Layer | None, as_they_are: set[fx.Node]
) -> Iterator[tuple[str, int | str, int]]:
    """Field, identity and number of elements of each tensor that a node reads of the network."""
    if node.op == "get_attr" and node in as_they_are:
        value = attribute(model, str(node.target))
        if isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex()):
            yield _field(value), id(value), value.numel() * (2 if value.is_complex() else 1)
    if layer is None:
        return
    yield from _of_nobody(layer)
    if layer.tensors:
        for role, stored in layer.stored.items():
            for tensor in stored:
                yield f"{role}_elements", tensor.identity, tensor.whole.numel()
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        module = module.layer if isinstance(module, Quantized) else module
        if not layer.tensors:
            yield from (("other_parameters", id(p), p.numel()) for p in module.parameters())
        persistent = module.state_dict(keep_vars=True)
        for name, buffer in module.named_buffers():
            if name in persistent and buffer.is_floating_point() and not _makes_weights(name):
                yield "buffer_elements", id(buffer), buffer.numel()


def _of_nobody(layer: Layer) -> Iterator[tuple[str, int, int]]:
    """The same of what the network keeps in ways that torch doesn't know, as layers in a plain list."""
    call = (layer.node.args, layer.node.kwargs)
    found = {path: leaf for path, leaf in leaves(call) if isinstance(leaf, Foreign) and leaf.lasting}
    if not found:
        return
    of: Sequence[Operand] = ()
    if layer.type in QUANTISABLE and layer.function is not None:
        of = operands(
            layer.type,
            layer.function,
            call,
            is_tensor=lambda leaf: isinstance(leaf, Foreign) and leaf.lasting,
            is_constant=lambda leaf: True,
            is_trained=lambda leaf: isinstance(leaf, Foreign) and leaf.trained,
        )
    roles = {operand.path: operand.role for operand in of if operand.role != "data_in"}
    for path, leaf in found.items():
        field = f"{roles[path]}_elements" if path in roles else _float_field(leaf.trained)
        if leaf.dtype.is_floating_point:
            yield field, leaf.identity, leaf.elements


def _holds_tensors(value: Any) -> bool:
    return any(isinstance(leaf, Tensor) for leaf in tree_leaves(value))


def _makes_weights(name: str) -> bool:
    """Whether a buffer only serves to make the weight that is used."""
    return name.startswith("parametrizations.") or name.endswith(("_mask", "_u", "_v"))


def _field(value: Tensor) -> str:
    return _float_field(is_trained(value))


def _float_field(trained: bool) -> str:
    return "other_parameters" if trained else "buffer_elements"


def _read_as_they_are(graph: fx.Graph, layers: Mapping[str, Layer], nodes: StoredNodes) -> set[fx.Node]:
    """Parameters and buffers that something else than a layer's weight or bias is made of."""
    found: set[fx.Node] = set()
    todo = []
    for node in graph.nodes:
        if node in nodes.constant:
            continue
        layer = layers.get(node.name)
        call = (node.args, node.kwargs)
        own = (
            {at(call, operand.path) for operand in layer.of if operand.role != "data_in"} if layer else set()
        )
        todo += [read for read in node.all_input_nodes if read in nodes.constant and read not in own]
    while todo:
        node = todo.pop()
        if node not in found and _holds_tensors(nodes.value(node)):  # else it is a size, a type
            found.add(node)
            todo += node.all_input_nodes
    return found
