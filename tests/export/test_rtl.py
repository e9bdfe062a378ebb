"""The forms verilog and vhdl: logic bit for bit, test benches that simulators run, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import widthwise as ww
from widthwise.core.errors import UserError
from widthwise.export.exporter import exporter
from widthwise.export.rtl import simulating, verilog, vhdl
from widthwise.export.rtl.bench import EXPECTED, TOP
from widthwise.export.tools import run
from widthwise.formats import Integer
from widthwise.network.graph import Graph
from widthwise.network.realised import Realised
from widthwise.network.scheme import Scheme
from widthwise.testing import check_exporter

pytest.importorskip("alkaid")
NEEDS_GHDL = pytest.mark.skipif(shutil.which("ghdl") is None, reason="needs ghdl (make debs)")
NEEDS_VERILATOR = pytest.mark.skipif(shutil.which("verilator") is None, reason="needs verilator (make debs)")
FORMATS = st.builds(Integer, st.integers(2, 10), st.integers(-2, 9))


class Windows(nn.Module):
    """Groups, strides and padding, a pooling with a margin, and a sum of two paths."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1, stride=2, groups=2)
        self.pool = nn.MaxPool2d(2, stride=1, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=2, dilation=2, bias=False)
        self.last = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.pool(torch.relu(self.first(x)))
        return self.last((h - self.second(h)).flatten(1))


class Signals(nn.Module):
    """Of one axis, folded batch norms beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv1d(2, 3, 3, padding=1), nn.Linear(12, 2)
        self.pool = nn.MaxPool1d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.pool(self.conv(x)).relu().flatten(1))


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))


SHAPES = {perceptron: (4,), Windows: (2, 6, 6), Signals: (2, 8)}


def formatted(make: object, draw: object) -> tuple[Graph, Realised]:
    """The network with formats drawn for all that has some, ReLUs and poolings aside."""
    torch.manual_seed(0)
    network = make().eval()  # type: ignore[operator]
    schemes = {
        layer.name: Scheme(**{tensor: draw() for tensor in layer.tensors})  # type: ignore[operator]
        for layer in ww.Graph(network).layers
        if layer.type in ("linear", "conv1d", "conv2d", "sub")
    }
    realised = Realised((), {}, schemes).complete(network)
    return realised.graph(), realised


@pytest.mark.parametrize("make", SHAPES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_logic_gives_the_networks_outputs_bit_for_bit(
    make: object, data: st.DataObject, tmp_path: Path
) -> None:
    graph, realised = formatted(make, lambda: data.draw(FORMATS))
    x = 3 * torch.randn(64, *SHAPES[make], generator=torch.Generator().manual_seed(1))  # type: ignore[index]
    form = verilog(simulate=False)
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    folder.mkdir()
    if form.refusals(realised, graph):
        return  # sums of more bits than float32 holds
    try:
        written = form.write(realised, graph, folder, (x[:2],))
    except UserError as error:
        if "don't depend on its input" in str(error):
            return
        raise
    with torch.no_grad():
        assert torch.equal(written.run(x), graph.model(x).double())


@pytest.mark.parametrize("ternary", [True, False])
def test_adders_add_as_many_numbers_as_asked_for(ternary: bool, tmp_path: Path) -> None:
    graph, realised = formatted(perceptron, lambda: SIX)
    verilog(simulate=False, ternary=ternary).write(realised, graph, tmp_path, (torch.zeros(2, 4),))
    logic = "".join(path.read_text() for path in (tmp_path / "src").glob("*.v"))
    assert "shift_adder" in logic
    assert ("ternary_adder" in logic) == ternary
    if shutil.which("iverilog") is None:
        pytest.skip("needs iverilog (make debs)")
    sources = [str(path) for path in [tmp_path / f"{TOP}.v", *(tmp_path / "src").rglob("*.v")]]
    run(["iverilog", "-g2012", "-s", TOP, "-o", "bench.vvp", *sources], tmp_path)
    told = run(["vvp", "bench.vvp"], tmp_path)
    assert simulating.all_equal("bench", told) == "256 of 256 samples: all outputs equal"


SIX = Integer(6, 3)


def test_numbers_that_are_always_the_same_are_rounded_as_others(tmp_path: Path) -> None:
    """Where all weights of a row are zero its bias alone is left."""
    biases, numbers = Integer(8, 7), torch.tensor([27, 28, 24, -27, -28, -127, 127]) / 128
    network = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    with torch.no_grad():
        network[0].weight[:-1] = 0  # type: ignore[index, operator]
        network[0].bias[:-1] = numbers  # type: ignore[index, operator]
    first, last = Scheme(SIX, SIX, biases), Scheme(Integer(5, 3), biases, SIX)
    realised = Realised((), {}, {"_0": first, "_2": last}).complete(network)
    x = torch.tensor([[0.0, 0.0], [1.5, -2.0], [-3.0, 1.0]])
    assert check_exporter(verilog(simulate=False), realised, tmp_path, (x,)) == []


@NEEDS_GHDL
@pytest.mark.parametrize("pipeline", [0.0, 3.0])
@pytest.mark.parametrize("make", [perceptron, Signals])
def test_the_test_bench_in_vhdl_finds_all_outputs_equal(
    make: object, pipeline: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, realised = formatted(make, lambda: SIX)
    monkeypatch.chdir(tmp_path)
    folder = Path("out")  # as a user names it
    folder.mkdir()
    written = vhdl(pipeline=pipeline).write(realised, graph, folder, (torch.zeros(2, *SHAPES[make]),))  # type: ignore[index]
    assert written.notes[-1] == "GHDL ran the test bench: 256 of 256 samples: all outputs equal"
    assert ("clocks" in written.notes[0]) == bool(pipeline)


@pytest.mark.slow
@NEEDS_VERILATOR
@pytest.mark.parametrize("pipeline", [0.0, 3.0])
def test_the_test_bench_in_verilog_finds_all_outputs_equal(pipeline: float, tmp_path: Path) -> None:
    graph, realised = formatted(perceptron, lambda: SIX)
    written = verilog(pipeline=pipeline).write(realised, graph, tmp_path, (torch.zeros(2, 4),))
    assert written.notes[-1] == "Verilator ran the test bench: 256 of 256 samples: all outputs equal"


@NEEDS_GHDL
def test_another_output_than_the_expected_one_is_found(tmp_path: Path) -> None:
    graph, realised = formatted(perceptron, lambda: SIX)
    vhdl(simulate=False).write(realised, graph, tmp_path, (torch.zeros(2, 4),))
    lines = (tmp_path / EXPECTED).read_text().splitlines()
    lines[7] = "".join("10"[int(bit)] for bit in lines[7])
    (tmp_path / EXPECTED).write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match="finds only 255 of 256 samples"):
        simulating.simulated("vhdl", tmp_path)


def test_without_a_simulator_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, realised = formatted(perceptron, lambda: SIX)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    written = verilog().write(realised, graph, tmp_path, (torch.zeros(2, 4),))
    assert written.notes[-1] == "the test bench was not run: Verilator is not installed"


def test_a_network_whose_input_does_not_matter_is_refused(tmp_path: Path) -> None:
    graph, realised = formatted(perceptron, lambda: Integer(2, -2))
    with pytest.raises(UserError, match="don't depend on its input"):
        verilog(simulate=False).write(realised, graph, tmp_path, (torch.zeros(2, 4),))


def test_weights_of_more_bits_than_are_read_are_refused() -> None:
    graph, realised = formatted(perceptron, lambda: Integer(30, 28))
    reasons = verilog().refusals(realised, graph)
    assert any("more than 24 bits" in reason or "bits" in reason for reason in reasons)


def test_options_of_a_form_are_read_and_others_are_refused() -> None:
    given = {"pipeline": "4", "simulate": "false", "ternary": "false"}
    assert exporter("verilog", given) == verilog(4.0, simulate=False, ternary=False)
    with pytest.raises(
        UserError, match=r"export form verilog: has no option depth; allowed: pipeline, simulate, ternary"
    ):
        exporter("verilog", {"depth": "4"})
    with pytest.raises(UserError, match="pipeline = 'much'; give a number"):
        exporter("verilog", {"pipeline": "much"})
    with pytest.raises(UserError, match="export form torch: has no option pipeline; allowed: program"):
        exporter("torch", {"pipeline": "4"})
