"""The report of a graph: its nodes, and how many of each kind there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from widthwise.core.errors import unknown
from widthwise.core.files import write_atomically
from widthwise.network.graph import META, Graph
from widthwise.network.passes.tables import text_table

ARGUMENTS = ("file_name",)
OPERATIONS = ("placeholder", "get_attr", "call_function", "call_method", "call_module", "output")
COLUMNS = ("node", "type", "scheme", "inputs", "output", "parameters", "MACs")


@dataclass(frozen=True)
class GraphReport:
    """A graph as text, and what it consists of."""

    text: str  # as torch.fx prints it
    operations: Mapping[str, int]  # nodes by fx operation
    types: Mapping[str, int]  # layers by type
    layers: tuple[str, ...]  # the modules, as they print themselves, in execution order

    def __str__(self) -> str:
        overview = f"Network overview:\n{dict(self.operations)}\nLayer types:\n[{', '.join(self.layers)}]"
        return f"{self.text}\n{overview}"


def report_graph_analysis_pass(
    graph: Graph, pass_args: Mapping[str, Any] | None = None
) -> tuple[Graph, GraphReport]:
    """The graph as it is, and its report; with {"file_name": path} the report is written there too."""
    args = dict(pass_args or {})
    for key in args:
        if key not in ARGUMENTS:
            raise unknown("argument", key, ARGUMENTS, where="report_graph_analysis_pass")
    operations = Counter(node.op for node in graph.fx_graph.nodes)
    modules = graph.modules
    report = GraphReport(
        text=str(graph.fx_graph),
        operations={operation: operations[operation] for operation in OPERATIONS},
        types=dict(Counter(layer.type for layer in graph.layers)),
        layers=tuple(
            " ".join(str(modules[str(node.target)]).split())
            for node in graph.fx_graph.nodes
            if node.op == "call_module"
        ),
    )
    if args.get("file_name") is not None:
        write_atomically(Path(args["file_name"]), f"{report}\n".encode())
    return graph, report


def report_node_meta_param_analysis_pass(
    graph: Graph, pass_args: Mapping[str, Any] | None = None
) -> tuple[Graph, str]:
    """The graph as it is, and a table of its nodes' metadata: types, schemes, shapes, parameters, MACs."""
    rows: list[tuple[str, ...]] = []
    schemes = graph.schemes
    for node in graph.fx_graph.nodes:
        meta = node.meta.get(META)
        scheme = str(schemes[node.name]) if node.name in schemes else ""
        if meta is None:
            rows.append((node.name, node.op, scheme, "", "", "", ""))
            continue
        inputs = " ".join(str(list(x.shape)) for x in meta.inputs)
        output = str(list(meta.outputs[0].shape)) if meta.outputs else ""
        cost = meta.cost
        stored = cost.weight_elements + cost.bias_elements + cost.other_parameters if cost else 0
        rows.append(
            (node.name, meta.type, scheme, inputs, output, str(stored), str(cost.macs if cost else 0))
        )
    return graph, text_table("Nodes", COLUMNS, rows)
