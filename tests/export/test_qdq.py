"""The layout qdq of the form onnx: every bit equal, in integer kernels, by another runtime too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator
from torch import nn

import widthwise as ww
from helpers.configs import FORMATS as CONFIG
from helpers.integers import ALL, NETWORKS, inputs, perceptron, realised
from helpers.running import Run
from widthwise.core.errors import UserError
from widthwise.export.onnx import NETWORK, OnnxExporter
from widthwise.export.onnx_runtime import kernels, session
from widthwise.formats import Binary, Format, Integer, ScaledInteger
from widthwise.network.realised import Realised
from widthwise.network.scheme import Scheme
from widthwise.testing import check_exporter

QDQ = OnnxExporter("qdq")


def one_layer(weight: list[float], data_in: Integer, fmt: Integer, bias: float = 0.0) -> Realised:
    layer = nn.Linear(len(weight), 1).eval()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([weight]))
        layer.bias.fill_(bias)
    scheme = Scheme(data_in, fmt, Integer(24, data_in.fraction + fmt.fraction))
    return Realised((), {}, {"_0": scheme}).complete(nn.Sequential(layer).eval())


@settings(max_examples=6, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("name", list(NETWORKS))
def test_every_kind_of_layer_in_random_formats_is_equal(
    name: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    def fixed(tensor: str) -> Integer:
        width = data.draw(st.integers(1, 7 if tensor == "weight" else 8))
        return Integer(width, data.draw(st.integers(width - 4, width + 3)), data.draw(st.booleans()))

    make, shape = NETWORKS[name]
    refusals = check_exporter(
        QDQ, realised(make, inputs(shape), fixed), tmp_path_factory.mktemp("form"), (inputs(shape),)
    )
    assert all("several formats" in reason or "float32" in reason for reason in refusals)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_onnx_s_own_evaluator_gives_the_same(name: str, tmp_path: Path) -> None:
    make, shape = NETWORKS[name]
    x, found = inputs(shape, 6), realised(make, inputs(shape), ALL)
    graph = found.graph()
    QDQ.write(found, graph, tmp_path, (x[:1],))
    model = onnx.load(str(tmp_path / NETWORK))
    onnx.checker.check_model(model, full_check=True)
    (outputs,) = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: x.numpy()})
    with torch.no_grad():
        assert np.array_equal(outputs, graph.model(x).numpy())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("perceptron", {"QGemm": 2}),
        ("convolutional", {"QLinearConv": 2, "QGemm": 1}),
        ("signals", {"QLinearConv": 1, "QGemm": 1}),
        ("sequences", {"QGemm": 2}),
    ],
)
def test_layers_run_in_integer_kernels(name: str, expected: dict[str, int], tmp_path: Path) -> None:
    make, shape = NETWORKS[name]
    found = realised(make, inputs(shape), ALL)
    told = QDQ.write(found, found.graph(), tmp_path, (inputs(shape, 1),)).notes[0]
    ran = kernels((tmp_path / NETWORK).read_bytes())
    assert {kind: ran[kind] for kind in expected} == expected
    assert not {"Gemm", "MatMul", "Conv", "DequantizeLinear"} & ran.keys()
    layers = sum(expected.values())
    assert f"runs {layers} of {layers} layers with weights in integer kernels" in told


def test_eight_bits_fill_a_byte_and_fewer_are_cut(tmp_path: Path) -> None:
    """ReLU cuts off what is below zero, unless formats have no numbers there."""
    for fmt, clips in ((Integer(8, 5, False), 0), (Integer(8, 5), 1), (Integer(7, 5, False), 2)):
        folder = tmp_path / repr(fmt)
        folder.mkdir()
        found = realised(perceptron, inputs((16,)), {**ALL, "data_in": fmt})
        assert check_exporter(QDQ, found, folder, (inputs((16,)),)) == []
        ran = kernels((folder / NETWORK).read_bytes())
        assert ran == {"QuantizeLinear": 1, "QGemm": 2, **({"Clip": clips} if clips else {})}


@pytest.mark.parametrize("bits", [24, 25])
def test_sums_that_just_fit_a_float_are_equal_and_wider_ones_refused(bits: int, tmp_path: Path) -> None:
    products = 2 ** (bits - 13)  # of 128 * 64 at most
    found = one_layer([64.0] * products, Integer(8, 0), Integer(8, 0))
    x = torch.full((3, products), -128.0)
    x[1, ::2], x[2] = 127, torch.randint(-128, 128, x[2].shape).float()
    refusals = check_exporter(QDQ, found, tmp_path, (x,))
    assert (refusals == []) == (bits == 24)
    if refusals:
        assert refusals[0].startswith("_0: its sums need 26 bits")


@settings(max_examples=20, deadline=None)
@given(
    width=st.integers(1, 8),
    finer=st.integers(0, 7),
    bias=st.integers(-500, 500),
    weight=st.lists(st.integers(-127, 127), min_size=3, max_size=3),
)
def test_biases_finer_than_products_are_added_exactly(
    tmp_path_factory: pytest.TempPathFactory, width: int, finer: int, bias: int, weight: list[int]
) -> None:
    fine = 2.0**-finer
    scheme = Scheme(Integer(width, 0), Integer(8, 0), Integer(16, finer))
    layer = nn.Linear(3, 1).eval()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([weight]).float())
        layer.bias.fill_(bias * fine)
    found = Realised((), {}, {"_0": scheme}).complete(nn.Sequential(layer))
    x = torch.randint(-130, 130, (20, 3), generator=torch.Generator().manual_seed(0)).float()
    assert check_exporter(QDQ, found, tmp_path_factory.mktemp("form"), (x,)) == []


def test_halves_go_to_even_and_what_is_beyond_saturates(tmp_path: Path) -> None:
    found = one_layer([1.0], Integer(4, 1), Integer(2, 0))
    x = torch.tensor([[0.25], [0.75], [-0.25], [-0.75], [1e30], [-1e30], [torch.inf], [3.6], [-4.4]])
    exported = QDQ.write(found, found.graph(), tmp_path, (x[:1],))
    assert exported.run is not None
    assert exported.run(x).flatten().tolist() == [0, 1, 0, -1, 3.5, -4, 3.5, 3.5, -4]
    with pytest.raises(UserError, match="NaN"):
        exported.run(torch.tensor([[torch.nan]]))


@pytest.mark.parametrize(
    ("formats", "reason"),
    [
        ({"data_in": Integer(9, 3)}, "_0: data_in fixed<9,3> has 9 bits, integer kernels take 8; give it at"),
        ({"weight": Integer(11, 10)}, "_3: weight fixed<11,10> has codes beyond -128 to 127"),
        ({"bias": Integer(30, 26)}, "_0: its sums need 30 bits, which ONNX Runtime rounds in float32"),
        ({"data_in": ScaledInteger(8, scale=0.1)}, "has no integer codes; give it a fixed<...> format"),
        ({"data_in": Integer(8, 60)}, "_0: its steps are 2^-63, a scale is from 2^-40 to 2^40"),
    ],
)
def test_what_has_no_integer_kernel_is_refused_by_layer_and_format(
    formats: dict[str, Format], reason: str
) -> None:
    found = realised(perceptron, inputs((16,)), {**ALL, **formats})
    refusals = QDQ.refusals(found, found.graph())
    assert any(reason in refusal for refusal in refusals), refusals


def test_binary_weights_are_bytes_too(tmp_path: Path) -> None:
    found = realised(perceptron, inputs((16,)), {**ALL, "weight": Binary(bipolar=True)})
    assert check_exporter(QDQ, found, tmp_path, (inputs((16,)),)) == []


def test_networks_in_float_are_refused() -> None:
    found = realised(perceptron, inputs((16,)), {})
    assert "is read in float" in QDQ.refusals(found, found.graph())[0]


def test_a_layout_that_there_is_not_is_refused() -> None:
    with pytest.raises(UserError, match="no layout 'qqd'; allowed: float, qdq"):
        OnnxExporter("qqd")  # type: ignore[arg-type]


def test_weights_that_older_processors_cut_are_noted(tmp_path: Path) -> None:
    def notes(weight: float, folder: Path) -> str:
        folder.mkdir()
        found = one_layer([weight, 1.0], Integer(8, 0), Integer(8, 0))
        return " ".join(QDQ.write(found, found.graph(), folder, (torch.zeros(1, 2),)).notes)

    assert "VNNI" not in notes(64.0, tmp_path / "a")
    assert "session.x64quantprecision" in notes(65.0, tmp_path / "b")


def test_formats_that_were_found_are_exported_with_the_scaler(run: Run, place: Path) -> None:
    ww.search(None, None, {**CONFIG, "model": "jsc-mlp"}, out="here", page=False)
    how = ("--trial", 0, "--to", "onnx", "--option", "layout=qdq")
    for more in ((), ("--with-scaler", "--force")):
        ran = run("export", "here", *how, "--out", "there", *more)
        assert ran.status == 0, ran.err
        assert "runs 4 of 4 layers with weights in integer kernels" in ran.out
        assert "largest difference 0" in ran.out
    kinds = [node.op_type for node in onnx.load("there/network.onnx").graph.node]
    assert kinds[:3] == ["Sub", "Div", "QuantizeLinear"]
    ran = run("export", "here", "--trial", 0, "--to", "onnx", "--option", "layout=x", "--out", "other")
    assert (ran.status, ran.err.count("\n")) == (2, 1)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_it_is_the_same_as_processors_without_vnni_are_to_run_it(name: str, tmp_path: Path) -> None:
    """The setting of the note turns weights into other bytes, where it does anything."""
    make, shape = NETWORKS[name]
    wide = {"data_in": Integer(8, 4), "weight": Integer(8, 6), "bias": Integer(8, 5)}
    x, found = inputs(shape), realised(make, inputs(shape), wide)
    graph = found.graph()
    QDQ.write(found, graph, tmp_path, (x[:1],))
    made = session((tmp_path / NETWORK).read_bytes(), precise=True)
    with torch.no_grad():
        wanted = graph.model(x).numpy()
    (outputs,) = made.run(None, {made.get_inputs()[0].name: x.numpy()})
    assert np.array_equal(outputs, wanted)
