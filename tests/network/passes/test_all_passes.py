"""What holds for every pass: it is found under its name, and leaves graph and arguments as they are."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest
import torch

from helpers.networks import build, inputs, tagged
from widthwise.core.errors import UserError
from widthwise.formats import Integer
from widthwise.network import passes
from widthwise.network.graph import Graph
from widthwise.network.scheme import Scheme

AUTO = Integer(8, "auto")


def arguments(name: str, x: torch.Tensor) -> dict[str, Any]:
    """Arguments with which a pass does something."""
    rule = {"config": {"name": "integer", "data_in_width": 4, "weight_width": 4, "bias_width": 4}}
    nothing = {"config": {"by": "name", "default": {"config": {"name": None}}}}
    return {
        "add_common_metadata_analysis_pass": {"dummy_in": (x,)},
        "calibrate_transform_pass": {"data": (x,)},
        "quantize_transform_pass": {"by": "type", "default": rule},
        "redefine_linear_transform_pass": nothing,
        "summarize_quantization_analysis_pass": {"data": (x,)},
    }.get(name, {})


@pytest.mark.parametrize("architecture", tagged("layers"))
@pytest.mark.parametrize("name", passes.PASSES)
def test_a_pass_leaves_graph_and_arguments_as_they_are(name: str, architecture: str) -> None:
    x = inputs(architecture)
    graph = Graph(build(architecture))
    graph = graph.quantized({layer.name: Scheme(AUTO, AUTO) for layer in graph.layers[:1]})
    if name == "add_software_metadata_analysis_pass":
        graph, _ = passes.add_common_metadata_analysis_pass(graph, {"dummy_in": (x,)})
    args = arguments(name, x)
    args_before = copy.deepcopy(args)
    nodes = [(node.name, node.op, node.target, dict(node.meta)) for node in graph.fx_graph.nodes]
    schemes, state = graph.schemes, copy.deepcopy(graph.model.state_dict())
    with torch.no_grad():
        was = graph.model(x)
        try:
            made, _ = getattr(passes, name)(graph, args)
            assert isinstance(made, Graph)
        except UserError:
            assert name == "equalise_transform_pass"  # which refuses networks without two such layers
        assert torch.equal(graph.model(x), was)
    assert graph.schemes == schemes
    assert [(node.name, node.op, node.target, dict(node.meta)) for node in graph.fx_graph.nodes] == nodes
    assert all(torch.equal(state[key], value) for key, value in graph.model.state_dict().items())
    assert repr(args) == repr(args_before)


def test_passes_are_imported_when_they_are_asked_for() -> None:
    code = "import sys, widthwise.network.passes; assert 'torch' not in sys.modules, 'torch was imported'"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert set(passes.PASSES) <= set(dir(passes))
    with pytest.raises(AttributeError, match="no attribute 'no_such_pass'"):
        passes.no_such_pass  # noqa: B018
