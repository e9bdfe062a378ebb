"""What of a network stays in float whatever a search does, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from torch import fx

from widthwise.network.counting import NodeCost
from widthwise.network.graph import Graph
from widthwise.network.operations import COUNTED_ELSEWHERE, EMBEDDINGS, FREE
from widthwise.network.passes.metadata import NodeMeta
from widthwise.network.passes.storing import first_from_elsewhere
from widthwise.network.recording import PLACE
from widthwise.network.scheme import TensorName

UNKNOWN = "no type that formats apply to; ww.register_layer gives it one"
READ = "no layer takes it as its weight or bias"
ARITHMETIC = "no operation that formats apply to"
UNREGISTERED = "torch doesn't know its weight; make that an nn.Parameter of the network"
OPAQUE = "what is no function of torch that is seen makes its input, and may read these"
NEVER = "never called"


@dataclass(frozen=True)
class Unquantised:
    """Nodes or modules of a type that have no formats, what they store and compute, and the reason."""

    type: str
    names: tuple[str, ...]
    parameters: int
    macs: int
    reason: str


def unquantised(graph: Graph, metas: Mapping[str, NodeMeta]) -> tuple[Unquantised, ...]:
    """What computes or stores floats and can have no format: by type and reason, in execution order.

    Nodes that only move data are left out. Modules with parameters that are never called come last; what
    they store is no part of any figure.
    """
    found: dict[tuple[str, str], Unquantised] = {}
    for part in (*_nodes(graph, metas), *_out_of_reach(graph), *_never_called(graph)):
        key = part.type, part.reason
        before = found.get(key, Unquantised(part.type, (), 0, 0, part.reason))
        found[key] = Unquantised(
            part.type,
            before.names + part.names,
            before.parameters + part.parameters,
            before.macs + part.macs,
            part.reason,
        )
    return tuple(found.values())


def _nodes(graph: Graph, metas: Mapping[str, NodeMeta]) -> Iterator[Unquantised]:
    told, elsewhere = {layer.node for layer in graph.unreached}, first_from_elsewhere(graph.fx_graph)
    for node in graph.fx_graph.nodes:
        meta = metas.get(node.name)  # some lack it where the path follows how many samples there are
        if meta is None or meta.cost is None or node.name in told:
            continue
        if meta.tensors:
            if in_float := _without_slot(meta.tensors, meta.cost):
                reason = OPAQUE if node is elsewhere else UNREGISTERED
                yield Unquantised(meta.type, (node.name,), in_float, 0, reason)
            continue
        if reason := _reason(node, meta, meta.cost):
            kind = "parameter" if node.op == "get_attr" else meta.type
            yield Unquantised(kind, (node.name,), stored(meta.cost), meta.cost.macs, reason)


def _without_slot(tensors: Collection[TensorName], cost: NodeCost) -> int:
    """Parameters that a layer with formats stores and has none for."""
    weights = 0 if "weight" in tensors else cost.weight_elements
    return weights + (0 if "bias" in tensors else cost.bias_elements) + cost.other_parameters


def stored(cost: NodeCost) -> int:
    """All parameters that a node stores."""
    return cost.weight_elements + cost.bias_elements + cost.other_parameters


def _reason(node: fx.Node, meta: NodeMeta, cost: NodeCost) -> str:
    """Why the node has no format; "" for one that neither stores parameters nor computes floats."""
    if stored(cost):
        return READ if node.op == "get_attr" else UNKNOWN
    if meta.type in FREE or meta.type in EMBEDDINGS:
        return ""
    if meta.type in COUNTED_ELSEWHERE:
        return ARITHMETIC
    floats = any(x.dtype.is_floating_point or x.dtype.is_complex for x in (*meta.inputs, *meta.outputs))
    if not floats or not (cost.macs or cost.other_flops or not cost.counted):
        return ""
    return ARITHMETIC if cost.counted else f"{ARITHMETIC}, nor one whose MACs, FLOPs and BOPs are known"


def _out_of_reach(graph: Graph) -> Iterator[Unquantised]:
    """Layers that formats do not reach."""
    modules = dict(graph.network.named_modules())
    for layer in graph.unreached:
        own = modules[layer.name].parameters() if layer.name in modules else ()
        count = layer.parameters or sum(p.numel() for p in own)
        yield Unquantised(layer.type, (layer.name,), count, 0, layer.reason)


def _never_called(graph: Graph) -> Iterator[Unquantised]:
    if first_from_elsewhere(graph.fx_graph) is not None:  # which may have called them
        return
    called = _called(graph.fx_graph) | {layer.name for layer in graph.unreached}
    for path, module in graph.network.named_modules():
        own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        above = [path[:end] for end in range(len(path) + 1) if end == len(path) or path[end] == "."]
        if own and not called.intersection(above) and not _makes_a_weight(path):
            yield Unquantised(type(module).__name__, (path,), own, 0, NEVER)


def _called(graph: fx.Graph) -> set[str]:
    """Paths of modules that are leaves of the graph, or whose parameters or calls are nodes of it."""
    found = {str(node.target) for node in graph.nodes if node.op == "call_module"}
    found |= {str(node.target).rpartition(".")[0] for node in graph.nodes if node.op == "get_attr"}
    return found | {node.meta[PLACE].module for node in graph.nodes if PLACE in node.meta}


def _makes_a_weight(path: str) -> bool:
    return "parametrizations" in path.split(".")


def parameters_in_float(parts: Iterable[Unquantised]) -> str:
    """How many parameters that count can have no format, and which; "" where all can."""
    some = [part for part in parts if part.parameters and part.reason != NEVER]
    if not some:
        return ""
    count, names = sum(part.parameters for part in some), [name for part in some for name in part.names]
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return f"{count:,} parameters stay in float: no format applies to {', '.join(names[:3])}{more}"


def shared_weights(graph: Graph) -> tuple[tuple[str, ...], ...]:
    """Names of layers that read the same stored tensor as weight or bias, a tuple for each such tensor."""
    readers: dict[int | str, dict[str, None]] = {}
    for layer in graph.layers:
        for tensors in layer.stored.values():
            for tensor in tensors:
                readers.setdefault(tensor.identity, {})[layer.name] = None
    return tuple(dict.fromkeys(tuple(names) for names in readers.values() if len(names) > 1))
