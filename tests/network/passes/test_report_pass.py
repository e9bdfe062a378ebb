"""Reports of a graph: its text, its counts, its table of metadata."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.networks import build, inputs, tagged
from widthwise.core.errors import UserError
from widthwise.formats import Integer
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.network.passes.metadata import add_common_metadata_analysis_pass
from widthwise.network.passes.report import report_graph_analysis_pass, report_node_meta_param_analysis_pass
from widthwise.network.scheme import Scheme


def test_nodes_are_counted_by_operation_and_layers_by_type() -> None:
    graph, report = report_graph_analysis_pass(Graph(load_model("jsc-three-linear")))
    assert dict(report.operations) == {
        "placeholder": 1,
        "get_attr": 0,
        "call_function": 0,
        "call_method": 0,
        "call_module": 8,
        "output": 1,
    }
    assert dict(report.types) == {"batch_norm1d": 1, "relu": 4, "linear": 3}
    assert str(report).startswith("graph():\n    %x")
    assert "Linear(in_features=16, out_features=5, bias=True)" in str(report)
    assert report.text == str(graph.fx_graph)


@pytest.mark.parametrize("name", tagged("layers"))
def test_every_kind_of_graph_can_be_reported(name: str) -> None:
    graph = Graph(build(name))
    graph, report = report_graph_analysis_pass(graph)
    assert sum(report.operations.values()) == len(list(graph.fx_graph.nodes))
    assert sum(report.types.values()) == len(graph.layers)
    _, table = report_node_meta_param_analysis_pass(graph)
    assert all(node.name in table for node in graph.fx_graph.nodes)


def test_the_report_is_written_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "graph.txt"
    _, report = report_graph_analysis_pass(Graph(load_model("jsc-tiny")), {"file_name": path})
    assert path.read_text() == f"{report}\n"
    with pytest.raises(UserError, match="did you mean file_name"):
        report_graph_analysis_pass(Graph(load_model("jsc-tiny")), {"filename": path})


def test_the_table_of_metadata_has_schemes_shapes_and_costs() -> None:
    graph = Graph(build("residual image")).quantized({"conv": Scheme(Integer(8, 4))})
    graph, _ = add_common_metadata_analysis_pass(graph, {"dummy_in": inputs("residual image", 2)})
    _, table = report_node_meta_param_analysis_pass(graph)
    row = next(line for line in table.splitlines() if line.strip().startswith("conv"))
    for text in ("conv2d", "data_in fixed<8,4>", "[2, 3, 6, 6]", "84", str(36 * 3 * 27)):
        assert text in row
