"""Layers of a graph: what computes, what of it a scheme can quantise, and what it reads of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn

from widthwise.network.layers import QUANTISABLE
from widthwise.network.operands import Operand
from widthwise.network.quantized import is_made, parameter_role
from widthwise.network.scheme import TENSORS, TensorName
from widthwise.network.stored import Stored
from widthwise.network.undisturbed import undisturbed


@dataclass(frozen=True)
class Layer:
    """A node that computes: a module, a function or a method in the graph."""

    node: fx.Node
    type: str  # linear, batch_norm1d, add …
    module: nn.Module | None  # without its wrapper; None where the node calls a function or a method
    tensors: tuple[TensorName, ...]  # what a scheme can quantise in it; empty: nothing
    function: Callable[..., Any] | None = None  # that is called; None: the module
    of: tuple[Operand, ...] = ()  # the operands of a function
    stored: Mapping[TensorName, tuple[Stored, ...]] = field(
        default_factory=dict
    )  # what it reads of the network

    @property
    def name(self) -> str:
        """The node's name, as configs select it: seq_blocks_2."""
        return self.node.name


def layer_of_module(node: fx.Node, kind: str, module: nn.Module) -> Layer:
    """A layer that is a module in a traced network."""
    stored: dict[TensorName, tuple[Stored, ...]] = {}
    for name, value in used_tensors(module).items():
        role = parameter_role(name)
        root = value if isinstance(value, nn.Parameter) else None
        stored[role] = (*stored.get(role, ()), Stored(f"{node.target}.{name}", value.detach(), root))
    return Layer(node, kind, module, layer_tensors(module, kind), None, (), stored)


def used_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    """The weights and biases that a layer computes with: its parameters, or what is made of them."""
    names = _names_of_used(module)
    if not any(is_made(module, name) for name in names):
        return dict(module.named_parameters())
    with undisturbed(module), torch.no_grad():
        found = {name: getattr(module, name, None) for name in names}
    return {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}


def _names_of_used(module: nn.Module) -> Sequence[str]:
    if isinstance(module, nn.RNNBase):
        return module._flat_weights_names
    if isinstance(module, nn.RNNCellBase):
        return ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return ("weight", "bias")


def layer_tensors(module: nn.Module, kind: str) -> tuple[TensorName, ...]:
    """Which tensors of the module a scheme can quantise."""
    if kind not in QUANTISABLE:
        return ()
    roles = {parameter_role(name) for name in used_tensors(module)}
    if kind not in ("embedding", "embedding_bag"):
        roles.add("data_in")
    return tuple(tensor for tensor in TENSORS if tensor in roles)
