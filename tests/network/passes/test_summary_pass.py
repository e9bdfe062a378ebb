"""The summary: counts before and after, and statistics of tensors against a computation by hand."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from helpers.networks import build, inputs, normal, tagged
from widthwise.core.errors import UserError
from widthwise.data.modules import load_data
from widthwise.formats import Integer
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.network.passes.quantize import quantize_transform_pass
from widthwise.network.passes.summary import summarize_quantization_analysis_pass
from widthwise.network.scheme import Scheme

CONFIG = {
    "by": "type",
    "default": {"config": {"name": None}},
    "linear": {"config": {"name": "integer", "data_in_width": 8, "weight_width": 4, "bias_width": 4}},
}


def test_layers_are_counted_by_type_before_and_after() -> None:
    graph = Graph(load_model("jsc-three-linear"))
    made, _ = quantize_transform_pass(graph, CONFIG)
    same, summary = summarize_quantization_analysis_pass(made, {"original_graph": graph})
    assert same is made
    assert {kind.type: (kind.total, kind.changed, kind.unchanged) for kind in summary.types} == {
        "batch_norm1d": (1, 0, 1),
        "relu": (4, 0, 4),
        "linear": (3, 3, 0),
    }
    assert [layer.name for layer in summary.layers if layer.changed] == [f"seq_blocks_{i}" for i in (2, 4, 6)]
    assert summary.layers[2].after == Scheme(Integer(8), Integer(4), Integer(4))


def test_it_compares_with_the_float_network_or_with_the_original_given() -> None:
    graph, _ = quantize_transform_pass(Graph(load_model("jsc-tiny")), CONFIG)
    assert summarize_quantization_analysis_pass(graph)[1].types[2].changed == 1
    _, summary = summarize_quantization_analysis_pass(graph, {"ori_graph": graph})
    assert not any(layer.changed for layer in summary.layers)


def test_the_tables_name_every_layer_and_its_formats() -> None:
    graph, _ = quantize_transform_pass(Graph(load_model("jsc-tiny")), CONFIG)
    text = str(summarize_quantization_analysis_pass(graph)[1])
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "linear 1 1 0 data_in fixed<8,4>, weight fixed<4,2>, bias fixed<4,2>" in lines
    assert all(layer.name in text for layer in graph.layers)


def test_statistics_are_those_of_the_quantised_networks_own_values() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU()).eval()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0.3, -2.0, 0.5], [1.9, 0.25, 0.0]]))
        model[0].bias.zero_()
    fmt = Integer(4, 2)  # -2 … 1.75 in steps of 1/4
    graph = Graph(model).quantized({"_0": Scheme(fmt, fmt), "_1": Scheme(fmt)})
    x = torch.tensor([[3.0, 0.1, -2.5], [0.5, 0.25, 1.0]])
    _, summary = summarize_quantization_analysis_pass(graph, {"data": x})
    found = {(row.layer, row.tensor): row.statistics for row in summary.tensors}
    assert found.keys() == {("_0", "data_in"), ("_0", "weight"), ("_1", "data_in")}
    data, weight, hidden = found.values()
    assert (data.minimum, data.maximum, data.clipped) == (-2.5, 3.0, 2 / 6)
    noise = 1.25**2 + 0.1**2 + 0.5**2
    assert data.snr_db == pytest.approx(10 * math.log10(float(x.square().sum()) / noise))
    assert weight.clipped == 1 / 6
    assert weight.mse == pytest.approx((0.05**2 + 0.15**2) / 6)
    with torch.no_grad():
        computed = fmt.quantize(x) @ fmt.quantize(model[0].weight).T
    assert (hidden.minimum, hidden.maximum) == (float(computed.min()), float(computed.max()))


def test_a_layers_inputs_are_taken_together() -> None:
    class Sum(nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return a + b

    fmt = Integer(4, 1)
    a, b = 3 * normal(5)(4), 9 * normal(5)(6)[2:]
    graph = Graph(Sum()).quantized({"add": Scheme(fmt)})
    (row,) = summarize_quantization_analysis_pass(graph, {"data": (a, b)})[1].tensors
    both = torch.stack([a, b]).double()
    errors = both - fmt.quantize(both)
    assert row.statistics.mse == pytest.approx(float(errors.square().mean()))
    assert row.statistics.snr_db == pytest.approx(
        float(10 * torch.log10(both.square().sum() / errors.square().sum()))
    )
    assert row.statistics.clipped == pytest.approx(float(((both < -4) | (both > 3.5)).double().mean()))
    assert (row.statistics.minimum, row.statistics.elements) == (float(both.min()), 40)


@pytest.mark.parametrize("name", tagged("layers"))
def test_every_quantised_tensor_has_a_row(name: str) -> None:
    graph = Graph(build(name))
    fmt = Integer(8, 4)
    made = graph.quantized({layer.name: Scheme(fmt, fmt, fmt) for layer in graph.layers if layer.tensors})
    _, summary = summarize_quantization_analysis_pass(made, {"data": (inputs(name),)})
    rows = {(row.layer, row.tensor) for row in summary.tensors}
    runs = [layer for layer in made.layers if layer.tensors and layer.name != "never"]
    assert {(layer.name, "data_in") for layer in runs if "data_in" in layer.tensors} <= rows
    assert {
        (layer.name, parameter)
        for layer in runs
        if layer.module
        for parameter, _ in layer.module.named_parameters()
    } <= rows
    assert "Quantised tensors" in str(summary)


def test_the_tables_are_written_as_csv(tmp_path: Path) -> None:
    graph, _ = quantize_transform_pass(Graph(load_model("jsc-tiny")), CONFIG)
    folder = tmp_path / "new" / "summary"
    args = {"save_dir": folder, "data": load_data("jsc")}
    summarize_quantization_analysis_pass(graph, args)
    rows = list(csv.DictReader((folder / "quantize_histogram.csv").read_text().splitlines()))
    assert {row["type"]: row["changed"] for row in rows} == {"batch_norm1d": "0", "relu": "0", "linear": "1"}
    table = list(csv.DictReader((folder / "quantize_table.csv").read_text().splitlines()))
    assert [row["name"] for row in table] == [layer.name for layer in graph.layers]
    tensors = list(csv.DictReader((folder / "quantize_tensors.csv").read_text().splitlines()))
    assert [row["tensor"] for row in tensors] == ["data_in", "weight", "bias"]
    assert sorted(args) == ["data", "save_dir"]


def test_wrong_arguments_are_one_line(tmp_path: Path) -> None:
    graph = Graph(load_model("jsc-tiny"))
    with pytest.raises(UserError, match="no argument named 'save_dri'; did you mean save_dir"):
        summarize_quantization_analysis_pass(graph, {"save_dri": "x"})
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't be made"):
        summarize_quantization_analysis_pass(graph, {"save_dir": tmp_path / "file" / "below"})


def test_values_that_are_changed_in_place_later_are_counted_as_they_were_read() -> None:
    class Changes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x) + x.mul_(0)

    x = normal(4)(50)
    before = x.clone()
    graph = Graph(Changes()).quantized({"layer": Scheme(Integer(8, 4))})
    _, summary = summarize_quantization_analysis_pass(graph, {"data": x})
    assert torch.equal(x, before)
    assert [found.statistics.minimum for found in summary.tensors] == [float(x.min())]
