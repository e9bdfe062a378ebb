"""model_size[FORM]: the bytes of weights and biases that the form's files really hold."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import widthwise as ww
from helpers.configs import FORMATS as CONFIG
from helpers.running import Run
from widthwise.core.errors import UserError
from widthwise.export.exporter import exporter
from widthwise.formats import Integer, ScaledInteger
from widthwise.formats.base import Format
from widthwise.metrics.catalogue import find_metric
from widthwise.metrics.cost.formulas import cost_of_graph
from widthwise.network.graph import Graph
from widthwise.network.passes import fold_batchnorm_transform_pass
from widthwise.network.realised import Realised
from widthwise.network.scheme import Scheme
from widthwise.spaces.slots import fixed_slots

SIZE_OF = {"int8_t": 1, "int16_t": 2, "int32_t": 4, "int64_t": 8}


class Scaled(nn.Module):
    """A convolution without a bias, a batch norm, a pooling, two linear layers that share weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.pool = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.MaxPool2d(2)
        self.first, self.second = nn.Linear(36, 36), nn.Linear(36, 36)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.norm(torch.relu(self.conv(x))))
        return self.second(torch.relu(self.first(self.pool(h).flatten(1))))


def network(*, folded: bool) -> nn.Module:
    torch.manual_seed(0)
    made = Scaled().train()
    made(torch.randn(8, 3, 8, 8))
    if not folded:
        return made.eval()
    return fold_batchnorm_transform_pass(Graph(made.eval(), torch.zeros(2, 3, 8, 8)), {})[0].model


def random_schemes(
    graph: Graph, rng: np.random.Generator, most: int, other: Format | None
) -> dict[str, Scheme]:
    found = {}
    for layer in graph.layers:
        if layer.type in ("conv2d", "linear", "batch_norm2d") and layer.tensors:
            drawn: dict[str, Any] = {}
            for tensor in layer.tensors:
                width = int(rng.integers(2, most + 1))
                drawn[tensor] = Integer(width, width - int(rng.integers(0, 3)))
            if other is not None and layer.type == "conv2d":
                (weight,) = layer.stored["weight"]
                drawn["weight"] = other.calibrated(weight.value)
            found[layer.name] = Scheme(**drawn)
    return found


def in_c(folder: Path) -> int:
    tables = re.findall(r"static const (\w+) \w+\[(\d+)\] =", (folder / "network.c").read_text())
    return sum(SIZE_OF[kind] * int(count) for kind, count in tables)


def in_onnx(folder: Path) -> int:
    """Of what is read by layers: with scales and zero points of DequantizeLinear, as floats where so."""
    import onnx

    graph = onnx.load(str(folder / "network.onnx")).graph
    stored = {each.name: onnx.numpy_helper.to_array(each).nbytes for each in graph.initializer}
    weighted = ("Gemm", "Conv", "Add", "Mul")
    counted = {
        name
        for node in graph.node
        if node.op_type in weighted or (node.op_type == "DequantizeLinear" and node.input[0] in stored)
        for name in node.input
    }
    return sum(stored[name] for name in counted & stored.keys())


def in_qonnx(folder: Path) -> int:
    """All floats that nodes read, but for those of inputs' formats and zeros where a layer has no bias."""
    import onnx

    graph = onnx.load(str(folder / "network.onnx")).graph
    stored = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    of_inputs = {
        name
        for node in graph.node
        if node.op_type in ("Quant", "BipolarQuant") and node.input[0] not in stored
        for name in node.input[1:]
    }
    read = {name for node in graph.node if node.op_type != "CastLike" for name in node.input} - of_inputs
    return sum(x.nbytes for name, x in stored.items() if x.dtype == np.float32 and name in read)


def in_torch(folder: Path) -> int:
    content = (folder / "weights.safetensors").read_bytes()
    header = int.from_bytes(content[:8], "little")
    ends = [each["data_offsets"][1] for name, each in json.loads(content[8 : 8 + header]).items()]
    return max(ends)


def size_of(form: str, graph: Graph) -> float:
    cost = cost_of_graph(find_metric(f"model_size[{form}]"))
    assert cost is not None
    slots = fixed_slots(graph)
    return float(cost.of_graph(graph, slots, (), {})(np.zeros((1, len(slots)), dtype=np.int64))[0])


@pytest.mark.parametrize(
    ("form", "counted", "most", "other"),
    [
        ("c", in_c, 16, None),
        ("onnx", in_onnx, 8, None),
        ("qonnx", in_qonnx, 8, ScaledInteger(4, per="channel", symmetric=False)),
        ("torch", in_torch, 16, None),
    ],
)
def test_it_is_what_the_files_hold(
    form: str, counted: Callable[[Path], int], most: int, other: Format | None, tmp_path: Path
) -> None:
    if form == "c" and shutil.which("cc") is None:
        pytest.skip("no C compiler here; `make debs` installs one")
    if "onnx" in form:
        pytest.importorskip("onnx", reason="pip install 'widthwise[onnx]'")
    x, rng = torch.randn(2, 3, 8, 8), np.random.default_rng(0)
    made = network(folded=form in ("c", "onnx"))
    plain = Graph(made, x)
    form_of = exporter(
        form, {"layout": "qdq"} if form == "onnx" else {"program": False} if form == "torch" else {}
    )
    sizes = []
    for number in range(1 if form == "qonnx" else 3):
        realised = Realised((), {}, random_schemes(plain, rng, most, other)).complete(made)
        graph = realised.graph()
        assert form_of.refusals(realised, graph) == []
        folder = tmp_path / str(number)
        folder.mkdir()
        form_of.write(realised, graph, folder, (x[:1],))
        sizes.append(size_of(form, graph))
        assert sizes[-1] == counted(folder)
    if form in ("c", "onnx"):
        assert len(set(sizes)) > 1


def test_hls4ml_stores_words_of_just_so_many_bits(tmp_path: Path) -> None:
    pytest.importorskip("hls4ml", reason="hls4ml is not installed; pip install 'widthwise[hls4ml]'")
    from widthwise.export.hls4ml.exporter import Hls4mlExporter, _quiet
    from widthwise.export.hls4ml.layers import layers_of, network_of
    from widthwise.export.integers.passes import quantised_early
    from widthwise.export.integers.reading import program_of

    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4, bias=False)).eval()
    x, rng = torch.zeros(2, 6), np.random.default_rng(1)
    realised = Realised((), {}, random_schemes(Graph(made, x), rng, 16, None)).complete(made)
    graph = realised.graph()
    program = quantised_early(program_of(graph, x))
    layers = layers_of(program)
    with _quiet():
        Hls4mlExporter()._converted(program, layers, network_of(program, layers), tmp_path).write()
    types = (tmp_path / "firmware" / "defines.h").read_text()
    bits = 0
    for file in (tmp_path / "firmware" / "weights").glob("*.h"):
        ((kind, count),) = set(re.findall(rf"(\w+) {file.stem}\[(\d+)\]", file.read_text()))
        (width,) = re.findall(rf"typedef ap_u?fixed<(\d+),.*> {kind};", types)
        bits += int(width) * int(count)
    assert size_of("hls4ml", graph) == bits / 8


def test_a_search_has_it_as_an_objective_and_a_bound(run: Run, place: Path) -> None:
    rule = {"name": ["integer"], "data_in_width": [8], "weight_width": [4, 12], "bias_width": [6, 16]}
    space = {**CONFIG["search"]["search_space"], "seed": {"linear": {"config": rule}}}
    strategy = {
        "name": "brute-force",
        "metrics": {"accuracy": {"direction": "maximize"}, "model_size[c]": {"direction": "minimize"}},
    }
    config = {**CONFIG, "search": {"search_space": space, "strategy": strategy}}
    study = ww.search("jsc-mlp", None, config, out="here", page=False)
    assert len({trial.metrics["model_size[c]"] for trial in study.trials}) > 1
    best = study.pick("best accuracy with model_size[c] <= 8KiB")
    assert best.metrics["model_size[c]"] <= 8192
    ran = run("export", "here", "--trial", best.number, "--to", "c", "--out", "there")
    assert ran.status == 0, ran.err
    assert in_c(place / "there") == best.metrics["model_size[c]"]


@pytest.mark.parametrize("form", ["verilog", "d"])
def test_forms_without_stored_weights_are_refused(form: str) -> None:
    with pytest.raises(UserError, match="known of the forms c, hls4ml, onnx, qonnx, torch"):
        find_metric(f"model_size[{form}]")


def test_networks_that_the_form_can_not_write_are_refused() -> None:
    made = nn.Sequential(nn.Linear(4, 4), nn.Sigmoid(), nn.Linear(4, 4)).eval()
    eight = Scheme(Integer(8, 4), Integer(8, 4), Integer(8, 4))
    realised = Realised((), {}, {"_0": eight, "_2": eight}).complete(made)
    with pytest.raises(UserError, match=r"model_size\[c\]: _1: sigmoid can't be written"):
        size_of("c", realised.graph())
    assert np.isnan(size_of("c", Graph(made, torch.zeros(2, 4))))
