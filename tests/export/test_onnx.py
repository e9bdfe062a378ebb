"""The form onnx: float networks in ONNX Runtime at every level, widths that a search found among them."""

from __future__ import annotations

import math
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

import widthwise as ww
from helpers.configs import FORMATS, WIDTHS
from helpers.running import Run
from widthwise.export.onnx import NETWORK, OnnxExporter
from widthwise.formats import Integer
from widthwise.network.realised import Realised
from widthwise.network.scheme import Scheme
from widthwise.testing import check_exporter


class Branching(nn.Module):
    """One that torch.fx can't trace, and torch.export can."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[0] > 0
        return self.a(x, x, x)[0].mean(1)


class Pair(nn.Module):
    """Two inputs and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 4), nn.Linear(5, 4)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        z = self.a(x) * self.b(y)
        return z, z.softmax(-1)


@pytest.mark.parametrize(
    ("network", "inputs"),
    [
        (
            nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()),
            (torch.rand(5, 1, 8, 8),),
        ),
        (Pair(), (torch.rand(5, 6), torch.rand(5, 5))),
        (nn.Sequential(nn.Linear(6, 4), nn.GELU(), nn.LayerNorm(4)), (torch.rand(5, 6),)),
        (Branching(), (torch.rand(5, 3, 8),)),
    ],
    ids=["images", "two of each", "norm", "attention"],
)
def test_float_networks_run_alike_in_onnx_runtime(
    network: nn.Module, inputs: tuple[Tensor, ...], tmp_path: Path
) -> None:
    realised = Realised((), {}, {}).complete(network.eval())
    assert check_exporter(OnnxExporter(), realised, tmp_path, inputs) == []
    onnx.checker.check_model(str(tmp_path / NETWORK))


def test_formats_are_refused_by_layer() -> None:
    network = nn.Sequential(nn.Linear(6, 4)).eval()
    realised = Realised((), {}, {"_0": Scheme(Integer(8, 4), None, None)}).complete(network)
    (reason,) = OnnxExporter().refusals(realised, realised.graph())
    assert reason.startswith("_0: has formats (data_in fixed<8,4>)")
    assert "layout=qdq" in reason
    assert "--to qonnx" in reason


def test_widths_that_were_found_are_exported(run: Run, place: Path) -> None:
    study = ww.search(None, None, WIDTHS, out="here", page=False)
    ran = run("export", "here", "--trial", study.front[0].number, "--to", "onnx", "--out", "there")
    assert ran.status == 0, ran.err
    assert "as onnx (network.onnx)" in ran.out
    stored = onnx.load("there/network.onnx").graph.initializer
    written = sum(math.prod(tensor.dims) for tensor in stored if tensor.dims)
    network = study.network(study.front[0]).model
    assert written >= sum(parameter.numel() for parameter in network.parameters())
    assert written < sum(parameter.numel() for parameter in study.network().model.parameters())


def test_formats_that_were_found_are_refused_before_anything_is_written(run: Run, place: Path) -> None:
    ww.search(None, None, FORMATS, out="here", page=False)
    ran = run("export", "here", "--trial", 0, "--to", "onnx", "--out", "there")
    assert ran.status == 2
    assert "has formats" in ran.err
    assert "--option layout=qdq" in ran.err
    assert not (place / "there").exists()
