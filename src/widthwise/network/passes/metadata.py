"""Metadata of nodes: shapes, dtypes, what each computes and stores, and what of it a scheme can quantise."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._pytree import tree_leaves

from widthwise.core.errors import UserError, unknown
from widthwise.network.capture import Example
from widthwise.network.counting import NodeCost, Operation, node_cost, parameter_cost
from widthwise.network.graph import META, Graph
from widthwise.network.layer import Layer
from widthwise.network.operands import in_order, leaves
from widthwise.network.passes.storing import stored_elements
from widthwise.network.passes.watch import watch
from widthwise.network.recording import Foreign
from widthwise.network.scheme import TensorName
from widthwise.network.stored import attribute

UNSEEN = "what is computed by other means than torch's functions (functions of torch.jit, NumPy)"
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

    A node that runs several times (a layer that a recorded network calls more than once) has the shapes of
    its first call and the work of all its calls.
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
    graph = graph.proved(example)
    calls: dict[str, list[_Call]] = defaultdict(list)
    read: dict[str, tuple[TensorMeta, ...]] = {}  # as it was before the node ran

    def before(name: str, values: tuple[Tensor, ...]) -> None:
        read[name] = _metas(values)

    def after(name: str, values: tuple[Tensor, ...]) -> None:
        calls[name].append(_Call(read.get(name, ()), _metas(values)))

    inputs = watch(graph, example, before=before, after=after)
    samples = samples or (inputs[0].shape[0] if inputs and inputs[0].ndim else 1)
    layers = {layer.name: layer for layer in graph.layers}
    stored, found = stored_elements(graph), {}
    for node in graph.fx_graph.nodes:
        meta, done = _initial(node, layers), calls[node.name]
        if done:
            meta = replace(meta, inputs=done[0].inputs, outputs=done[0].outputs)
        cost = _cost(graph, node, layers.get(node.name), done, samples)
        found[node.name] = replace(meta, cost=cost and replace(cost, **asdict(stored[node.name])))
    return found


def uncounted(graph: fx.Graph, metas: Mapping[str, NodeMeta]) -> tuple[str, ...]:
    """What computes floats by arithmetic that is not known: types of nodes, each once; what has no node."""
    found = [
        meta.type
        for meta in metas.values()
        if meta.cost is not None and not meta.cost.counted and _floats(meta.inputs) and _floats(meta.outputs)
    ]
    unseen = [UNSEEN] if any(map(_reads_what_no_call_made, graph.nodes)) else []
    return tuple(dict.fromkeys((*found, *unseen)))


def _reads_what_no_call_made(node: fx.Node) -> bool:
    leaves_read = tree_leaves((node.args, dict(node.kwargs)))
    made = (leaf for leaf in leaves_read if isinstance(leaf, Foreign) and not leaf.lasting)
    return any(leaf.dtype.is_floating_point for leaf in made)


def _floats(tensors: Sequence[TensorMeta]) -> bool:
    return any(x.dtype.is_floating_point or x.dtype.is_complex for x in tensors)


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


def _cost(
    graph: Graph, node: fx.Node, layer: Layer | None, calls: Sequence[_Call], samples: int
) -> NodeCost | None:
    """What the node takes, all its calls together; None where it neither computes nor stores."""
    if node.op == "get_attr":
        value = attribute(graph.model, str(node.target))
        return parameter_cost(value, name=node.name) if isinstance(value, Tensor) else None
    if layer is None or not calls:
        return None
    if node.op != "call_module" and not calls[0].outputs:  # a size, a shape
        return None
    first, *others = (_call_cost(graph, layer, call, samples) for call in calls)
    return replace(
        first,
        macs=first.macs + sum(cost.macs for cost in others),
        other_flops=first.other_flops + sum(cost.other_flops for cost in others),
        outputs=first.outputs + sum(cost.outputs for cost in others),
    )


def _call_cost(graph: Graph, layer: Layer, call: _Call, samples: int) -> NodeCost:
    shapes = _in_order(layer, [x.shape for x in call.inputs])
    output = call.outputs[0].shape if call.outputs else (0,)
    operation: Operation = layer.type  # what a property of tensors is called says only its type: T
    if layer.node.op == "call_module":
        operation = graph.model.get_submodule(str(layer.node.target))
        if layer.of and graph.capture == "running":  # the weights stand among what the call reads
            shapes = shapes[: sum(operand.role == "data_in" for operand in layer.of)]
    equation = _equation(layer) if layer.type == "einsum" else ""
    return node_cost(operation, shapes, output, name=layer.name, batch=samples, equation=equation)


def _in_order(layer: Layer, shapes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Shapes of arguments as the function has them, where some are given by name."""
    call = (layer.node.args, layer.node.kwargs)
    paths = [path for path, leaf in leaves(call) if isinstance(leaf, fx.Node | Foreign)]
    if layer.function is None or len(paths) != len(shapes):
        return shapes
    return [shapes[index] for index in in_order(layer.type, layer.function, paths)]


def _equation(layer: Layer) -> str:
    """What an einsum computes, where it is said in letters."""
    given = layer.node.args[0] if layer.node.args else layer.node.kwargs.get("equation")
    return given if isinstance(given, str) else ""
