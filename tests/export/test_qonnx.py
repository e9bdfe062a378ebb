"""The form qonnx: fixed point bit for bit in qonnx's executor, its costs, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.inference_cost import inference_cost
from torch import Tensor, nn

import widthwise as ww
from helpers.configs import FORMATS as CONFIG
from helpers.running import Run
from widthwise.core.errors import UserError
from widthwise.export.fixed_point import is_fixed_point
from widthwise.export.qonnx import NETWORK, QonnxExporter
from widthwise.formats import Binary, Format, Integer, ScaledInteger, parse
from widthwise.network.passes import fold_batchnorm_transform_pass
from widthwise.network.realised import Realised
from widthwise.network.scheme import Scheme
from widthwise.testing import check_exporter

X = torch.randn(6, 16, generator=torch.Generator().manual_seed(0))
FIXED = Integer(6, 3)
ALL = {"data_in": FIXED, "weight": FIXED, "bias": FIXED}
Formats = dict[str, Format]


class Residual(nn.Module):
    """A tensor with two readers."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(16, 12), nn.Linear(12, 12), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.a(x))
        return self.c(torch.relu(self.b(h) + h))


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 5))


def convolutional() -> nn.Module:
    features = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, padding=1, groups=2)]
    return nn.Sequential(*features, nn.ReLU(), nn.Flatten(), nn.Linear(54, 5))


def realised(make: object, x: Tensor, formats: Formats, types: tuple[str, ...] = ()) -> Realised:
    """The network with these formats in all its layers (of these types)."""
    torch.manual_seed(1)
    network = make().eval()  # type: ignore[operator]
    schemes = {
        layer.name: Scheme(**{tensor: formats.get(tensor) for tensor in layer.tensors})
        for layer in ww.Graph(network, x).layers
        if layer.tensors and (not types or layer.type in types)
    }
    return Realised((), {}, {name: s for name, s in schemes.items() if s}).complete(network)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "x"),
    [(perceptron, X), (Residual, X), (convolutional, torch.randn(3, 1, 8, 8))],
    ids=["perceptron", "residual", "convolutional"],
)
def test_fixed_point_networks_are_equal_bit_for_bit(make: object, x: Tensor, tmp_path: Path) -> None:
    found = realised(make, x, ALL)
    assert is_fixed_point(found.graph())
    assert check_exporter(QonnxExporter(), found, tmp_path, (x,)) == []


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(st.data())
def test_random_schemes_of_fixed_point_are_equal(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    def fixed() -> Integer:
        width = data.draw(st.integers(2, 16))
        return Integer(width, data.draw(st.integers(width - 4, width + 4)), data.draw(st.booleans()))

    found = realised(perceptron, X, {"data_in": fixed(), "weight": fixed(), "bias": fixed()})
    assert check_exporter(QonnxExporter(), found, tmp_path_factory.mktemp("form"), (X,)) == []


def test_sums_that_float32_does_not_hold_are_computed_in_float64(tmp_path: Path) -> None:
    wide: Formats = {"data_in": Integer(16, 11), "weight": Integer(15, 13), "bias": Integer(16, 18)}
    network = nn.Sequential(nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 5)).eval()
    folded, _ = fold_batchnorm_transform_pass(ww.Graph(network, X), {})
    found = realised(lambda: folded.model, X, wide, ("linear", "batch_norm1d"))
    assert check_exporter(QonnxExporter(), found, tmp_path, (X,)) == []
    images = realised(convolutional, torch.randn(3, 1, 8, 8), wide)
    assert all("float32" in reason for reason in QonnxExporter().refusals(images, images.graph()))
    assert len(QonnxExporter().refusals(images, images.graph())) == 2  # both convolutions


@pytest.mark.slow
@pytest.mark.parametrize(
    "weight",
    [
        Binary(),
        Binary(scaling_factor=True),
        ScaledInteger(4, per="channel"),
        ScaledInteger(4, signed=False),
        ScaledInteger(4, symmetric=False),
        parse("fixed<4,auto>"),
    ],
    ids=repr,
)
def test_each_kind_of_format_has_its_node(weight: Format, tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(16, 5, bias=False)).eval()
    found = Realised((), {}, {"_0": Scheme(FIXED, weight, None)}).complete(network)
    assert check_exporter(QonnxExporter(), found, tmp_path, (X,)) == []
    model = ModelWrapper(onnx.load(str(tmp_path / NETWORK)))
    kinds = sorted(node.op_type for node in model.graph.node)
    assert kinds == sorted(["Gemm", "Quant", "BipolarQuant" if isinstance(weight, Binary) else "Quant"])
    node = next(n for n in model.graph.node if n.input[0] in {t.name for t in model.graph.initializer})
    scale = model.get_initializer(node.input[1])
    assert scale.size == (5 if getattr(weight, "per", "") == "channel" else 1)


def test_its_costs_are_ours(tmp_path: Path) -> None:
    network = perceptron().eval()
    schemes = {
        "_0": Scheme(Integer(7, 3), Integer(3, 2), Integer(8, 4)),
        "_2": Scheme(Integer(5, 3), Integer(6, 3), Integer(8, 4)),
    }
    found = Realised((), {}, schemes).complete(network)
    QonnxExporter().write(found, found.graph(), tmp_path, (X[:1],))
    cost = inference_cost(str(tmp_path / NETWORK), discount_sparsity=False)["total_cost"]
    assert cost["total_macs"] == 16 * 12 + 12 * 5
    assert cost["total_bops"] == 16 * 12 * 7 * 3 + 12 * 5 * 5 * 6
    assert cost["total_mem_w_bits"] == 16 * 12 * 3 + 12 * 5 * 6


def refused(make: object, formats: Formats, types: tuple[str, ...] = ()) -> str:
    found = realised(make, X, formats, types)
    return "; ".join(QonnxExporter().refusals(found, found.graph()))


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x) if x.sum() > 1e9 else -self.a(x)


class Halves(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(x.chunk(2, 1)[::-1], 1)


def test_what_it_cannot_say_is_refused_by_name() -> None:
    assert refused(perceptron, {"weight": parse("mxint8/4")}).startswith("_0: weight mxint8/4 has no node")
    assert "follows the data" in refused(perceptron, {"data_in": ScaledInteger(8)})
    assert "scales of groups" in refused(perceptron, {"weight": parse("int<4>/group8")})
    assert "the values 0 and a" in refused(perceptron, {"weight": Binary(bipolar=False)})
    assert "the network runs as it is" in refused(Branching, ALL)
    assert "chunk gives a list of tensors" in refused(Halves, {})
    assert refused(perceptron, ALL) == ""


def test_it_is_exported_from_the_command_line(run: Run, place: Path) -> None:
    ww.search(None, None, CONFIG, out="here", page=False)
    ran = run("export", "here", "--trial", 0, "--to", "qonnx", "--out", "there")
    assert ran.status == 0, ran.err
    assert "Wrote there: trial 0 of here as qonnx (network.onnx)" in ran.out
    onnx.checker.check_model(str(place / "there" / NETWORK))
    versions = json.loads((place / "there" / "export.json").read_text())["versions"]
    assert versions.keys() >= {"widthwise", "torch", "python", "qonnx", "onnxruntime"}


def test_without_its_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = realised(perceptron, X, ALL)
    monkeypatch.setitem(__import__("sys").modules, "qonnx.core.modelwrapper", None)
    with pytest.raises(UserError, match=r"pip install 'widthwise\[onnx\]'"):
        QonnxExporter().write(found, found.graph(), tmp_path, (X[:1],))
