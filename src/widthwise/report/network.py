"""A network in the terminal: its layers, its groups of channels, and what a config does to each layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from widthwise.report.tables import plain_table

if TYPE_CHECKING:
    from rich.table import Table

    from widthwise.network.graph import Graph
    from widthwise.network.passes.metadata import NodeMeta, TensorMeta
    from widthwise.network.widths.groups import Groups

COLUMNS = ("name", "type", "input", "output", "parameters", "MACs", "can be quantised")


def graph_table(graph: Graph, metas: Mapping[str, NodeMeta]) -> Table:
    """A row a node that computes or stores, in execution order; shapes are those of one sample."""
    rows = []
    for node in graph.fx_graph.nodes:
        meta = metas[node.name]
        if node.op in ("placeholder", "output"):
            continue
        cost = meta.cost
        stored = cost.weight_elements + cost.bias_elements + cost.other_parameters if cost else 0
        shape_in, shape_out = _shapes(meta.inputs), _shapes(meta.outputs)
        macs = cost.macs if cost else 0
        rows.append(
            [node.name, meta.type, shape_in, shape_out, f"{stored:,}", f"{macs:,}", ", ".join(meta.tensors)]
        )
    return plain_table(COLUMNS, rows, right=("parameters", "MACs"))


def total_line(metas: Mapping[str, NodeMeta]) -> str:
    """Parameters and MACs of all nodes."""
    costs = [meta.cost for meta in metas.values() if meta.cost is not None]
    stored = sum(cost.weight_elements + cost.bias_elements + cost.other_parameters for cost in costs)
    return f"In all {stored:,} parameters, {sum(cost.macs for cost in costs):,} MACs a sample"


def capture_lines(graph: Graph) -> list[str]:
    """How the network was captured, and what is out of reach."""
    if graph.capture == "fx":
        return ["capture:     by torch.fx: modules and functions"]
    return [
        f"capture:     by running: modules and functions; not by torch.fx ({graph.capture_error})",
    ]


def mode_line(graph: Graph) -> str:
    """How candidates that differ in formats would be evaluated."""
    if graph.capture == "fx":
        return "evaluation:  candidates together: values that they share are computed once"
    return "evaluation:  one pass per candidate, with cached weights"


def group_table(groups: Groups) -> Table:
    """A row a group: its size, who makes its channels, and all that changes with them."""
    rows = [
        [
            group.name,
            f"{group.size:,}",
            "any" if group.blocks == 1 else f"multiples of {group.blocks}",
            ", ".join(f"{member.owner} ({member.side})" for member in group.members),
        ]
        for group in groups.groups
    ]
    return plain_table(["group", "channels", "sizes", "members"], rows, right=["channels"])


def fixed_table(groups: Groups) -> Table:
    """A row for channels that can't be resized, with the reason."""
    rows = [[fixed.name, f"{fixed.size:,}", fixed.reason] for fixed in groups.fixed]
    return plain_table(["of", "channels", "why"], rows, right=["channels"])


def _shapes(tensors: tuple[TensorMeta, ...]) -> str:
    return " ".join("x".join(map(str, tensor.shape[1:])) or "scalar" for tensor in tensors)
