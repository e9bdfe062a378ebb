"""A network's layers in one screen: what can be quantised, what stays in float and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import fx

from widthwise.network.operands import leaves
from widthwise.network.passes.unquantised import Unquantised, stored
from widthwise.network.recording import Foreign
from widthwise.report.tables import plain_table

if TYPE_CHECKING:
    from rich.table import Table

    from widthwise.network.graph import Graph
    from widthwise.network.layer import Layer
    from widthwise.network.passes.metadata import NodeMeta, TensorMeta

SCREEN = 40  # rows
NUMBERS = ("layers", "nodes", "parameters", "MACs")
COLUMNS = ("name", "type", "input", "output", "parameters", "MACs", "can be quantised")


def layer_table(graph: Graph, metas: Mapping[str, NodeMeta], *, every: bool = False) -> Table:
    """A row a layer that can be quantised, in execution order, or a row a type where that is no screen.

    every: a row for each node instead. Shapes are those of one sample.
    """
    if every:
        named = {n.name: metas[n.name] for n in graph.fx_graph.nodes if n.op not in ("placeholder", "output")}
    else:
        named = {name: meta for name, meta in metas.items() if meta.tensors}
    if len(named) > SCREEN and not every:
        return _by_type(named)
    layers = {layer.name: layer for layer in graph.layers}
    data = {name: _data(layers.get(name), meta) for name, meta in named.items()}
    return _rows(named, data)


def float_table(parts: Sequence[Unquantised]) -> Table:
    """A row a type and reason of what stays in float."""
    rows = [
        [
            *(part.type, f"{len(part.names):,}", part.names[0]),
            *(f"{part.parameters:,}", f"{part.macs:,}", part.reason),
        ]
        for part in parts
    ]
    return plain_table(["type", "nodes", "such as", "parameters", "MACs", "why"], rows, right=NUMBERS)


def total_line(metas: Mapping[str, NodeMeta]) -> str:
    """Parameters and MACs of all nodes, and how many parameters can have no format."""
    costs = [meta.cost for meta in metas.values() if meta.cost is not None]
    total, macs = sum(map(stored, costs)), sum(cost.macs for cost in costs)
    rest = sum(cost.other_parameters for cost in costs)
    stays = f" ({rest:,} of them stay in float)" if rest else ""
    return f"In all {total:,} parameters{stays}, {macs:,} MACs a sample"


def shared_line(shared: Sequence[tuple[str, ...]]) -> str:
    """Layers that read the same stored weights."""
    some = [" = ".join(names[:4]) + (" …" if len(names) > 4 else "") for names in shared[:3]]
    more = f" and {len(shared) - 3:,} more" if len(shared) > 3 else ""
    return f"shared:      {'; '.join(some)}{more}: stored once, in one format unless untied"


def _data(layer: Layer | None, meta: NodeMeta) -> tuple[TensorMeta, ...]:
    """What a node reads but for weights and biases."""
    if layer is None:
        return meta.inputs
    own = {operand.path for operand in layer.of if operand.role != "data_in"}
    paths = [path for path, leaf in leaves((layer.node.args, layer.node.kwargs)) if _is_tensor(leaf)]
    if len(paths) != len(meta.inputs):
        return meta.inputs
    return tuple(x for path, x in zip(paths, meta.inputs, strict=True) if path not in own)


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, fx.Node | Foreign)


def _rows(metas: Mapping[str, NodeMeta], data: Mapping[str, tuple[TensorMeta, ...]]) -> Table:
    rows = []
    for name, meta in metas.items():
        parameters, macs = (stored(meta.cost), meta.cost.macs) if meta.cost else (0, 0)
        shapes = (_shapes(data[name]), _shapes(meta.outputs))
        rows.append([name, meta.type, *shapes, f"{parameters:,}", f"{macs:,}", ", ".join(meta.tensors)])
    return plain_table(COLUMNS, rows, right=NUMBERS)


def _by_type(metas: Mapping[str, NodeMeta]) -> Table:
    kinds: dict[tuple[str, str], list[str]] = {}
    for name, meta in metas.items():
        kinds.setdefault((meta.type, ", ".join(meta.tensors)), []).append(name)
    rows = []
    for (kind, tensors), names in kinds.items():
        costs = [cost for name in names if (cost := metas[name].cost) is not None]
        parameters, macs = sum(map(stored, costs)), sum(cost.macs for cost in costs)
        rows.append([kind, f"{len(names):,}", names[0], f"{parameters:,}", f"{macs:,}", tensors])
    headers = ["type", "layers", "such as", "parameters", "MACs", "can be quantised"]
    return plain_table(headers, rows, right=NUMBERS)


def _shapes(tensors: tuple[TensorMeta, ...]) -> str:
    return " ".join("x".join(map(str, tensor.shape[1:])) or "scalar" for tensor in tensors)
