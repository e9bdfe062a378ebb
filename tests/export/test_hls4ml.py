"""The form hls4ml: its C++ simulation equals the network, in every strategy and kind of layer."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import widthwise as ww
from helpers.configs import FORMATS as CONFIG
from helpers.running import Run
from widthwise.core.errors import UserError
from widthwise.export.hls4ml.exporter import Hls4mlExporter
from widthwise.export.hls4ml.layers import fixed, layers_of, network_of
from widthwise.export.integers.passes import quantised_early
from widthwise.export.integers.reading import read_program, with_shapes
from widthwise.export.integers.steps import Value
from widthwise.formats import Integer
from widthwise.network.passes import fold_batchnorm_transform_pass
from widthwise.network.realised import Realised
from widthwise.network.scheme import Scheme
from widthwise.testing import check_exporter

pytest.importorskip("hls4ml", reason="hls4ml is not installed; pip install 'widthwise[hls4ml]'")
simulated = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ here; `make debs` installs it")
FIXED = Scheme(Integer(6, 3), Integer(5, 4), Integer(6, 5))
WIDE = Scheme(Integer(16, 11), Integer(15, 13), Integer(16, 18))
ODD = Scheme(Integer(4, -1), Integer(7, 9), Integer(5, -2, signed=False))


class Residual(nn.Module):
    """A tensor with two readers of one format, a difference and a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(16, 12), nn.Linear(12, 12), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.a(x))
        return self.c(torch.relu((self.b(h) - h) + h))


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 8), nn.Linear(8, 5))


def images() -> nn.Module:
    first = [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*first, nn.Conv2d(4, 6, (3, 2)), nn.ReLU(), nn.Flatten(), nn.Linear(36, 5))


def signals() -> nn.Module:
    first = nn.Conv1d(3, 4, 3, padding=1, stride=2)
    return nn.Sequential(first, nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(8, 5))


def scaled() -> nn.Module:
    """A batch norm that only scales, as folding leaves it."""
    network = nn.Sequential(nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 5)).train()
    network(torch.randn(16, 16) * 2 + 1)
    return fold_batchnorm_transform_pass(ww.Graph(network.eval(), torch.zeros(2, 16)), {})[0].model


def realised(make: object, x: Tensor, scheme: Scheme, *types: str) -> Realised:
    torch.manual_seed(1)
    network = make().eval()  # type: ignore[operator]
    schemes = {
        layer.name: Scheme(**{tensor: scheme[tensor] for tensor in layer.tensors})
        for layer in ww.Graph(network, x).layers
        if layer.tensors and layer.type in ("linear", "conv1d", "conv2d", "batch_norm1d", *types)
    }
    return Realised((), {}, schemes).complete(network)


def inputs(*shape: int) -> Tensor:
    return torch.randn(30, *shape, generator=torch.Generator().manual_seed(0)) * 2


@simulated
@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "x", "scheme", "options"),
    [
        (perceptron, inputs(16), FIXED, {}),
        (perceptron, inputs(16), WIDE, {"strategy": "resource", "reuse": 4}),
        (perceptron, inputs(16), ODD, {"io": "io_stream"}),
        (images, inputs(3, 8, 8), WIDE, {}),
        (images, inputs(3, 8, 8), FIXED, {"strategy": "resource", "io": "io_stream"}),
        (signals, inputs(3, 8), FIXED, {}),
        (Residual, inputs(16), FIXED, {}),
        (scaled, inputs(16), WIDE, {}),
        (perceptron, inputs(16), WIDE, {"strategy": "distributed_arithmetic"}),
        (images, inputs(3, 8, 8), FIXED, {"strategy": "distributed_arithmetic", "io": "io_stream"}),
        (Residual, inputs(16), FIXED, {"strategy": "distributed_arithmetic"}),
        (scaled, inputs(16), FIXED, {"strategy": "distributed_arithmetic"}),
    ],
)
def test_its_simulation_equals_the_network(
    make: object, x: Tensor, scheme: Scheme, options: dict[str, object], tmp_path: Path
) -> None:
    found = realised(make, x, scheme, "add", "sub")
    assert check_exporter(Hls4mlExporter(**options), found, tmp_path, (x,)) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "x"),
    [
        (perceptron, inputs(16)),
        (images, inputs(3, 8, 8)),
        (signals, inputs(3, 8)),
        (Residual, inputs(16)),
        (scaled, inputs(16)),
    ],
)
def test_the_network_that_hls4ml_reads_has_the_values_of_the_formats(make: object, x: Tensor) -> None:
    """In float64 it gives the outputs once what it is given, and what its layers give, is quantised."""
    graph = realised(make, x, FIXED, "add", "sub").graph()
    program, reasons = read_program(graph)
    assert program is not None, reasons
    program = quantised_early(with_shapes(program, graph, x))
    layers = layers_of(program)
    network = network_of(program, layers).double()
    rounding = {layer.name: layer for layer in layers if layer.out is not layer.step.out}
    assert rounding

    class Rounded(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> object:
            value = super().run_node(n)
            layer = rounding.get(n.name)
            if layer is None:
                return value
            bits, fraction = layer.out.bits, layer.out.fraction
            signed = layer.out.low < 0
            return Integer(bits if signed else bits - 1, fraction, signed).quantize(value)

    with torch.no_grad():
        found = Rounded(network).run(program.fmt.quantize(x.double()))  # type: ignore[arg-type]
        assert torch.equal(found, graph.model(x).double())


def test_types_are_as_wide_as_their_codes() -> None:
    assert fixed(Value("", 4, -128, 127), rounds=True) == "ap_fixed<8,4,AP_RND_CONV,AP_SAT>"
    assert fixed(Value("", 10, 0, 255), rounds=False) == "ap_ufixed<8,-2>"
    assert fixed(Value("", -3, -1, 0), rounds=False) == "ap_fixed<1,4>"


def refused(make: object, scheme: Scheme = FIXED, *types: str) -> str:
    x = inputs(16) if make is not images else inputs(3, 8, 8)
    found = realised(make, x, scheme, *types)
    return "; ".join(Hls4mlExporter().refusals(found, found.graph()))


def test_what_it_cannot_say_is_refused() -> None:
    assert refused(perceptron) == ""
    assert refused(images) == ""
    assert "share_inputs gives them one" in refused(Residual)
    assert refused(Residual, FIXED, "add", "sub") == ""
    grouped = lambda: nn.Sequential(nn.Conv2d(3, 6, 3, groups=3))  # noqa: E731
    x = inputs(3, 8, 8)
    found = realised(grouped, x, FIXED)
    assert "use one group" in "; ".join(Hls4mlExporter().refusals(found, found.graph()))


@pytest.mark.parametrize(
    ("layer", "says"),
    [(nn.MaxPool2d(3, ceil_mode=True), "ceil_mode"), (nn.Flatten(2), "flat tensors alone")],
)
def test_shapes_that_it_has_no_layer_for_are_told(layer: nn.Module, says: str, tmp_path: Path) -> None:
    x = inputs(3, 8, 8)
    found = realised(lambda: nn.Sequential(nn.Conv2d(3, 4, 1), layer, nn.ReLU()), x, FIXED)
    if shutil.which("g++") is None:
        pytest.skip("no g++ here")
    with pytest.raises(UserError, match=says):
        Hls4mlExporter().write(found, found.graph(), tmp_path, (x[:1],))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "fast"},
        {"io": "stream"},
        {"reuse": 0},
        {"reuse": 1.5},
        {"reuse": 4, "strategy": "distributed_arithmetic"},
    ],
)
def test_options_are_checked(options: dict[str, object]) -> None:
    with pytest.raises(UserError, match=rf"hls4ml: {next(iter(options))} = "):
        Hls4mlExporter(**options)  # type: ignore[arg-type]


@simulated
@pytest.mark.slow
def test_it_is_exported_from_the_command_line(run: Run, place: Path) -> None:
    ww.search(None, None, {**CONFIG, "model": "jsc-mlp"}, out="here", page=False)
    ran = run(
        *("export", "here", "--trial", 0, "--to", "hls4ml", "--out", "there", "--option", "strategy=resource")
    )
    assert ran.status == 0, ran.err
    assert "205 of 205 outputs equal" in ran.out.replace(" samples:", "")
    project = place / "there" / "project"
    assert (project / "firmware" / "myproject.cpp").is_file()
    for path in project.rglob("*"):
        if path.is_file():
            assert str(place) not in path.read_text(encoding="utf-8", errors="ignore")
            assert "/tmp" not in path.read_text(encoding="utf-8", errors="ignore") or "ap_types" in str(path)
