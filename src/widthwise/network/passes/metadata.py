"""Metadata of nodes: shapes, dtypes, what each computes and stores, and what of it a scheme can quantise."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from widthwise.core.errors import UserError, unknown
from widthwise.network.counting import NodeCost, Operation, node_cost, parameter_cost
from widthwise.network.graph import META, Graph, Layer, attribute
from widthwise.network.passes.watch import Example, watch
from widthwise.network.quantized import parameter_role
from widthwise.network.scheme import TensorName

COMMON_KEYS = ("dummy_in", "add_value", "force_device_meta")  # the last two have no meaning here


@dataclass(frozen=True)
class TensorMeta:
    """Shape, batch dimension included, and dtype of a tensor."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class NodeMeta:
    """What is known about a node; shapes and cost only where inputs have been run through the network.

    A node that runs several times (a module that a network captured at module level calls more than once) has
    the shapes of its first call and the work of all its calls.
    """

    type: str  # of the layer (linear, add …), or placeholder, get_attr, output
    tensors: tuple[TensorName, ...] = ()  # what a scheme can quantise in it
    inputs: tuple[TensorMeta, ...] = ()  # the tensors among the arguments, in their order
    outputs: tuple[TensorMeta, ...] = ()
    cost: NodeCost | None = None  # for one sample; None where nothing is computed or stored


@dataclass(frozen=True)
class _Call:
    """One run of a node: the tensors that it read and gave."""

    inputs: tuple[TensorMeta, ...]
    outputs: tuple[TensorMeta, ...]


def propagate(graph: Graph, example: Example, *, samples: int | None = None) -> dict[str, NodeMeta]:
    """Metadata of every node by its name, found by running the network once on the example.

    `example` is the network's input [samples, …], several of them in a tuple, or names to inputs; `samples`
    says how many there are where the first input's first axis doesn't. Runs in
    eval mode without gradients and leaves the graph as it is. Parameters that several nodes share are stored
    by the first of them alone. Raises UserError where the network can't be run on the example.
    """
    calls: dict[str, list[_Call]] = defaultdict(list)
    read: dict[str, tuple[TensorMeta, ...]] = {}  # as it was before the node ran

    def before(name: str, values: tuple[Tensor, ...]) -> None:
        read[name] = _metas(values)

    def after(name: str, values: tuple[Tensor, ...]) -> None:
        calls[name].append(_Call(read[name], _metas(values)))

    inputs = watch(graph, example, before=before, after=after)
    samples = samples or (inputs[0].shape[0] if inputs and inputs[0].ndim else 1)
    layers = {layer.name: layer for layer in graph.layers}
    found, stored = {}, set[int]()
    for node in graph.fx_graph.nodes:
        meta, done = _initial(node, layers), calls[node.name]
        if done:
            meta = replace(meta, inputs=done[0].inputs, outputs=done[0].outputs)
        cost = _cost(graph.model, node, done, samples)
        found[node.name] = replace(meta, cost=cost and _stored_once(cost, graph.model, node, stored))
    return found


def init_metadata_analysis_pass(
    graph: Graph, pass_args: Mapping[str, Any] | None = None
) -> tuple[Graph, dict[str, NodeMeta]]:
    """A copy of the graph whose nodes know their type and what can be quantised; info: that by node name."""
    layers = {layer.name: layer for layer in graph.layers}
    return _attached(graph, {node.name: _initial(node, layers) for node in graph.fx_graph.nodes})


def add_common_metadata_analysis_pass(
    graph: Graph, pass_args: Mapping[str, Any]
) -> tuple[Graph, dict[str, NodeMeta]]:
    """A copy of the graph whose nodes know shapes, dtypes and costs, from running `dummy_in` through it.

    pass_args: {"dummy_in": names to inputs, or as `propagate` takes them}. Raises UserError as that does.
    """
    where = "add_common_metadata_analysis_pass"
    for key in pass_args or {}:
        if key not in COMMON_KEYS:
            raise unknown("argument", key, COMMON_KEYS, where=where)
    if not pass_args or pass_args.get("dummy_in") is None:
        raise UserError(f'{where}: needs an input to run; give {{"dummy_in": {{"x": tensor}}}}')
    return _attached(graph, propagate(graph, pass_args["dummy_in"]))


def add_software_metadata_analysis_pass(
    graph: Graph, pass_args: Mapping[str, Any] | None = None
) -> tuple[Graph, dict[str, NodeCost]]:
    """A copy of the graph; info: what each node computes and stores, as the common metadata has it.

    Raises UserError where add_common_metadata_analysis_pass has not been run.
    """
    metas = {node.name: node.meta.get(META) for node in graph.fx_graph.nodes}
    if not any(meta and (meta.cost or meta.outputs) for meta in metas.values()):
        raise UserError(
            "add_software_metadata_analysis_pass: the graph has no shapes yet; run "
            "add_common_metadata_analysis_pass on it first"
        )
    return graph.copy(), {name: meta.cost for name, meta in metas.items() if meta and meta.cost}


def _attached(graph: Graph, metas: Mapping[str, NodeMeta]) -> tuple[Graph, dict[str, NodeMeta]]:
    made = graph.copy()
    for node in made.fx_graph.nodes:
        node.meta[META] = metas[node.name]
    return made, dict(metas)


def _initial(node: fx.Node, layers: Mapping[str, Layer]) -> NodeMeta:
    layer = layers.get(node.name)
    return NodeMeta(node.op) if layer is None else NodeMeta(layer.type, layer.tensors)


def _metas(tensors: Sequence[Tensor]) -> tuple[TensorMeta, ...]:
    return tuple(TensorMeta(tuple(x.shape), x.dtype) for x in tensors)


def _cost(model: nn.Module, node: fx.Node, calls: Sequence[_Call], samples: int) -> NodeCost | None:
    """What the node takes, all its calls together; None where it neither computes nor stores."""
    if node.op == "get_attr":
        value = attribute(model, str(node.target))
        return parameter_cost(value, name=node.name) if isinstance(value, Tensor) else None
    if not node.op.startswith("call_") or not calls:
        return None
    if node.op != "call_module" and not calls[0].outputs:  # a size, a shape
        return None
    is_module = node.op == "call_module"
    operation: Operation = model.get_submodule(str(node.target)) if is_module else cast(Any, node.target)
    first, *others = (_call_cost(operation, call, node.name, samples) for call in calls)
    return replace(
        first,
        macs=first.macs + sum(cost.macs for cost in others),
        other_flops=first.other_flops + sum(cost.other_flops for cost in others),
        outputs=first.outputs + sum(cost.outputs for cost in others),
    )


def _call_cost(operation: Operation, call: _Call, name: str, samples: int) -> NodeCost:
    output = call.outputs[0].shape if call.outputs else (0,)
    return node_cost(operation, [x.shape for x in call.inputs], output, name=name, batch=samples)


def _stored_once(cost: NodeCost, model: nn.Module, node: fx.Node, stored: set[int]) -> NodeCost:
    """The cost without what earlier nodes store already; `stored` holds the ids of those tensors."""
    again = {"weight": 0, "bias": 0, "buffer": 0}
    for role, tensor in _held(model, node):
        if id(tensor) in stored:
            again[role] += tensor.numel()
        stored.add(id(tensor))
    return replace(
        cost,
        weight_elements=max(cost.weight_elements - again["weight"], 0),
        bias_elements=max(cost.bias_elements - again["bias"], 0),
        other_parameters=max(cost.other_parameters - again["weight"] - again["bias"], 0),
        buffer_elements=max(cost.buffer_elements - again["buffer"], 0),
    )


def _held(model: nn.Module, node: fx.Node) -> Iterator[tuple[str, Tensor]]:
    """The tensors that a node stores, each with its role: weight, bias or buffer."""
    if node.op == "get_attr":
        value = attribute(model, str(node.target))
        if isinstance(value, Tensor):
            yield ("weight" if isinstance(value, nn.Parameter) else "buffer"), value
    elif node.op == "call_module":
        module = model.get_submodule(str(node.target))
        for name, parameter in module.named_parameters():
            yield parameter_role(name), parameter
        persistent = module.state_dict(keep_vars=True)
        for name, buffer in module.named_buffers():
            if name in persistent and buffer.is_floating_point():
                yield "buffer", buffer
