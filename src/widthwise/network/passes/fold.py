"""The pass that writes batch norms into weights and biases, so that formats reach all of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from widthwise.core.errors import UserError
from widthwise.network.calling import positional
from widthwise.network.graph import Graph
from widthwise.network.quantized import is_more_than_its_class
from widthwise.network.recording import named_arguments

PASS = "fold_batchnorm_transform_pass"


def fold_batchnorm_transform_pass(graph: Graph, pass_args: Mapping[str, Any]) -> tuple[Graph, dict[str, str]]:
    """A copy of the graph whose batch norms are folded, as they are in evaluation mode.

    One behind a convolution or a linear layer on samples [n, features], which nothing else reads, becomes
    part of that layer's weight and bias and is gone. So does one that only such a layer reads, right behind
    it, where that pads with no zeros. Any other one becomes a batch norm with mean 0, variance 1 and eps 0:
    its scale is then its weight and its shift its bias, which formats reach. Computed in float64 and rounded
    once, so that outputs are the same to the precision of floats. What is folded can't be trained on with
    statistics of batches: fold what is trained, then search it.

    pass_args: {}. Returns the copy, whose `folded` is what is returned beside it: by name of each batch norm
    the layer that it went into, "" where it stays. Layers that have formats already stay as they are, so fold
    first; so do all of a network that runs as it is. Raises UserError for arguments.
    """
    if pass_args:
        raise UserError(f"{PASS}: has no arguments, and was given {', '.join(map(str, pass_args))}")
    if graph.capture != "fx":
        return graph.copy_or_view(), {}
    model = copy.deepcopy(cast(fx.GraphModule, graph.model)).eval()
    modules = dict(model.named_modules())
    found, ranks = {}, _ranks(graph, model)
    for node in list(model.graph.nodes):
        norm = modules.get(str(node.target)) if node.op == "call_module" else None
        if not isinstance(norm, _BatchNorm) or norm.running_mean is None or is_more_than_its_class(norm):
            continue
        rank = ranks.get(node.name)
        found[node.name] = _fold(model, node, norm, rank)
    if not found:
        return graph.copy_or_view(), {}
    model.delete_all_unused_submodules()
    model.recompile()
    made = Graph(model)
    made.folded, made.unfolded = found, graph
    return made, dict(found)


def _fold(model: fx.GraphModule, node: fx.Node, norm: _BatchNorm, rank: int | None) -> str:
    """Folds one batch norm in place; the layer that it went into, "" where it stays and only scales."""
    scale, shift = _scale_and_shift(norm)
    if (before := _layer_before(model, node, norm, rank)) is not None:
        layer = model.get_submodule(str(before.target))
        _set(model, str(before.target), _merged(layer, scale, shift))
        node.replace_all_uses_with(before)
        model.graph.erase_node(node)
        return before.name
    if (after := _layer_after(model, node, norm, rank)) is not None:
        layer = model.get_submodule(str(after.target))
        _set(model, str(after.target), _merged_inputs(layer, scale, shift))
        node.replace_all_uses_with(node.all_input_nodes[0])
        model.graph.erase_node(node)
        return after.name
    _set(model, str(node.target), _scaling(norm, scale, shift))
    return ""


def _scale_and_shift(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """[channels] each, in float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, variance = norm.running_mean.double(), norm.running_var.double()
    scale = 1 / (variance + norm.eps).sqrt()  # both are rounded alike on every machine, unlike rsqrt
    if norm.affine:
        scale = scale * norm.weight.detach().double()
    shift = -mean * scale
    return scale, shift + norm.bias.detach().double() if norm.affine else shift


def _ranks(graph: Graph, model: fx.GraphModule) -> dict[str, int]:
    """Axes of what each node gives, where the network was captured on an example; model: a copy of it, in
    eval mode, as running it in another would change its statistics."""
    found: dict[str, int] = {}

    class Run(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            value = super().run_node(n)
            if isinstance(value, Tensor):
                found[n.name] = value.ndim
            return value

    if graph.captured_on is not None:
        given = named_arguments(graph.model, graph.captured_on)
        with torch.no_grad():
            Run(model).run(*positional(graph.model, given))
    return found


def _layer_before(model: fx.GraphModule, node: fx.Node, norm: _BatchNorm, rank: int | None) -> fx.Node | None:
    """The layer whose output channels are all that a batch norm reads, and nothing else does."""
    (before,) = node.all_input_nodes
    if before.op != "call_module" or len(before.users) != 1:
        return None
    layer = model.get_submodule(str(before.target))
    if _are_shared(model, before, node) or is_more_than_its_class(layer):
        return None
    plain = isinstance(layer, _ConvNd) and not isinstance(layer, _ConvTransposeNd)
    flat = isinstance(layer, nn.Linear) and rank == 2  # else the norm is one of the steps of sequences
    outputs = layer.out_features if isinstance(layer, nn.Linear) else getattr(layer, "out_channels", 0)
    return before if (plain or flat) and outputs == norm.num_features else None


def _layer_after(model: fx.GraphModule, node: fx.Node, norm: _BatchNorm, rank: int | None) -> fx.Node | None:
    """The layer that alone reads a batch norm, each input channel in every product."""
    (after,) = node.users if len(node.users) == 1 else (None,)
    if after is None or after.op != "call_module" or after.all_input_nodes != [node]:
        return None
    layer = model.get_submodule(str(after.target))
    if _are_shared(model, after, node) or is_more_than_its_class(layer):
        return None
    if isinstance(layer, nn.Linear):
        return after if rank == 2 and layer.in_features == norm.num_features else None
    if not isinstance(layer, _ConvNd) or isinstance(layer, _ConvTransposeNd):
        return None
    pads = layer.padding == "same" or (not isinstance(layer.padding, str) and any(layer.padding))
    return after if not pads and layer.groups == 1 and layer.in_channels == norm.num_features else None


def _are_shared(model: fx.GraphModule, one: fx.Node, other: fx.Node) -> bool:
    """Whether two modules' weights are used by more than these two calls."""
    return len([node for node in model.graph.nodes if node.target in (one.target, other.target)]) != 2


def _merged_inputs(layer: nn.Module, scale: Tensor, shift: Tensor) -> nn.Module:
    """A copy of a layer that scales and shifts its inputs itself."""
    made = copy.deepcopy(layer)
    weight, bias = made.weight, made.bias
    assert isinstance(weight, Tensor)
    before = weight.detach().double()
    spread = (-1, *[1] * (weight.ndim - 2))
    shifted = (before * shift.reshape(spread)).flatten(1).sum(dim=1)
    own = bias.detach().double() if isinstance(bias, Tensor) else 0.0
    made.weight = nn.Parameter((before * scale.reshape(spread)).to(weight.dtype))
    made.bias = nn.Parameter((own + shifted).to(weight.dtype))
    return made


def _merged(layer: nn.Module, scale: Tensor, shift: Tensor) -> nn.Module:
    """A copy of a layer whose outputs are scaled and shifted."""
    made = copy.deepcopy(layer)
    weight, bias = made.weight, made.bias
    assert isinstance(weight, Tensor)
    spread = scale.reshape(-1, *[1] * (weight.ndim - 1))
    before = bias.detach().double() if isinstance(bias, Tensor) else 0.0
    made.weight = nn.Parameter((weight.detach().double() * spread).to(weight.dtype))
    made.bias = nn.Parameter((before * scale + shift).to(weight.dtype))
    return made


def _scaling(norm: _BatchNorm, scale: Tensor, shift: Tensor) -> nn.Module:
    made = type(norm)(norm.num_features, eps=0.0).eval()
    made.weight, made.bias = nn.Parameter(scale.float()), nn.Parameter(shift.float())
    return made


def _set(model: nn.Module, target: str, module: nn.Module) -> None:
    parent, _, name = target.rpartition(".")
    setattr(model.get_submodule(parent), name, module.eval())
