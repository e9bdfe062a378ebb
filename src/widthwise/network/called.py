"""What a node of a graph calls: the layer that it is, with what it reads of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from torch import fx, nn

from widthwise.network.layer import Layer, layer_of_module
from widthwise.network.layers import QUANTISABLE, FunctionLayer, layer_type
from widthwise.network.operands import Operand, at, operands
from widthwise.network.quantized import Quantized
from widthwise.network.recording import FUNCTION, KIND, Foreign
from widthwise.network.scheme import TENSORS, TensorName
from widthwise.network.stored import Stored, StoredNodes


def layer_of_node(
    node: fx.Node, modules: Mapping[str, nn.Module], stored: StoredNodes, *, traced: bool
) -> Layer:
    """The layer that a node is which calls something.

    modules: those that nodes target, wrapped or not. stored: what of the graph is stored in the network.
    traced: whether the graph is torch.fx's, and not a record of a run.
    """
    is_module = node.op == "call_module"
    module = modules.get(str(node.target)) if is_module else None
    wrapper = module if isinstance(module, Quantized) else None
    inner = wrapper.layer if wrapper is not None else module
    function = isinstance(inner, FunctionLayer)
    kind = node.meta.get(KIND) or layer_type(cast(Any, inner if is_module else node.target))
    if traced and is_module and not function:
        assert inner is not None
        return layer_of_module(node, kind, inner)
    called: Any = inner.function if isinstance(inner, FunctionLayer) else _function_of(node)
    own = None if function else inner
    if kind not in QUANTISABLE:
        return Layer(node, kind, own, (), called)
    known = wrapper.of if wrapper is not None else None
    of, read = _with_stored(node, _operands(node, kind, called, stored) if known is None else known, stored)
    roles = {operand.role for operand in of}
    return Layer(node, kind, own, tuple(role for role in TENSORS if role in roles), called, of, read)


def _operands(node: fx.Node, kind: str, called: Callable[..., Any], stored: StoredNodes) -> Sequence[Operand]:
    return operands(
        kind,
        called,
        (node.args, node.kwargs),
        is_tensor=lambda leaf: (
            (isinstance(leaf, fx.Node) and leaf not in stored.unknown)
            or (isinstance(leaf, Foreign) and not leaf.lasting)
        ),
        is_constant=lambda leaf: leaf in stored.constant,
        is_trained=lambda leaf: leaf in stored.trained,
    )


def _with_stored(
    node: fx.Node, of: Sequence[Operand], stored: StoredNodes
) -> tuple[tuple[Operand, ...], dict[TensorName, tuple[Stored, ...]]]:
    """The operands that formats can have, and what of them is stored: whole and complex numbers have none."""
    kept: list[Operand] = []
    read: dict[TensorName, tuple[Stored, ...]] = {}
    for operand in of:
        if operand.role != "data_in":
            found = stored.stored(at((node.args, node.kwargs), operand.path))
            if not found.value.is_floating_point():
                continue
            read[operand.role] = (*read.get(operand.role, ()), found)
        kept.append(operand)
    return tuple(kept), read


def _function_of(node: fx.Node) -> Callable[..., Any]:
    return cast(Callable[..., Any], node.meta[FUNCTION]) if FUNCTION in node.meta else called_function(node)


@dataclass(frozen=True)
class MethodCall:
    """A method of the first argument as a function of it."""

    __name__: str

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(x, self.__name__)(*args, **kwargs)


def called_function(node: fx.Node) -> Callable[..., Any]:
    """The function or method that a node calls."""
    return MethodCall(str(node.target)) if node.op == "call_method" else cast(Callable[..., Any], node.target)
