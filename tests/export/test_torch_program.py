"""The program of torch.export beside the form "torch": the network's bits, from torch alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import widthwise as ww
from widthwise.core.errors import UserError
from widthwise.data.samples import Scaler
from widthwise.export.exporter import Exported, exporter
from widthwise.export.torch import TorchExporter
from widthwise.export.torch_program import PROGRAM, check_alike, program_of
from widthwise.formats import Integer, ScaledInteger
from widthwise.network.realised import Input, Realised
from widthwise.network.scheme import Scheme

FIXED = Scheme(Integer(8, 4), Integer(6, 5), Integer(8, 5))
WIDE = Scheme(Integer(16, 8), Integer(16, 14), Integer(16, 14))  # sums that float32 does not hold
SCALES = Scheme(ScaledInteger(8), ScaledInteger(8), None)
READ = """
import sys, torch
from safetensors.torch import load_file, save_file
given = load_file(sys.argv[2])["x"]
save_file({"y": torch.export.load(sys.argv[1]).module()(given).contiguous()}, sys.argv[3])
assert not [name for name in sys.modules if name.startswith("widthwise")]
"""


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 5)).eval()


def realised(scheme: Scheme, network: nn.Module | None = None) -> Realised:
    inputs = (Input("x" if network else "input", (16,), "float32"),)
    return Realised((), {}, {"_0": scheme, "_2": scheme}, inputs=inputs).complete(network or small())


def written(of: Realised, folder: Path, **options: Any) -> Exported:
    folder.mkdir()
    return exporter("torch", options).write(of, of.graph(), folder, tuple(of.example(1).values()))


@pytest.mark.parametrize(
    ("scheme", "samples"),
    [(FIXED, "any number of samples"), (WIDE, "any number of samples"), (Scheme(), "any number of samples")],
)
def test_it_gives_the_networks_bits(tmp_path: Path, scheme: Scheme, samples: str) -> None:
    of = realised(scheme)
    done = written(of, tmp_path / "out")
    assert done.notes == (f"{PROGRAM}: a program of torch.export, for {samples} of these shapes: input [16]",)
    assert tmp_path / "out" / PROGRAM in done.files
    x = torch.randn(301, 16) * 40
    with torch.no_grad():
        wanted = of.graph().model(x)
        assert torch.equal(torch.export.load(tmp_path / "out" / PROGRAM).module()(x), wanted)
    assert done.run is not None
    assert torch.equal(done.run(x), wanted)


def test_torch_alone_reads_it(tmp_path: Path) -> None:
    of = realised(WIDE)
    written(of, tmp_path / "out")
    x = torch.randn(7, 16)
    save_file({"x": x}, tmp_path / "x")
    command = [sys.executable, "-c", READ, *(str(tmp_path / name) for name in (f"out/{PROGRAM}", "x", "y"))]
    subprocess.run(command, check=True, capture_output=True)
    with torch.no_grad():
        assert torch.equal(load_file(tmp_path / "y")["y"], of.graph().model(x))


def test_what_it_can_not_be_made_of_many_for_takes_one(tmp_path: Path) -> None:
    of = realised(SCALES)
    done = written(of, tmp_path / "out")
    (note,) = done.notes
    assert note.startswith(
        f"{PROGRAM}: a program of torch.export, for one sample at a time of these shapes: "
    )
    run = torch.export.load(tmp_path / "out" / PROGRAM).module()
    x = torch.randn(4, 16)
    with torch.no_grad():
        for row in range(4):
            part = x[row : row + 1]
            assert torch.equal(run(part), of.graph().model(part))
    assert done.run is not None
    done.run(x)


class Decides(nn.Module):
    """What it computes follows the values, which a program can't say."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.one(x)
        return scores * 2 if float(scores.sum()) > 0 else scores


def test_a_network_without_a_program_is_written_all_the_same(tmp_path: Path) -> None:
    network = Decides().eval()
    sample = {"x": torch.ones(2, 16)}
    of = Realised((), {}, {"one": FIXED}, inputs=(Input("x", (16,), "float32"),), sample=sample).complete(
        network
    )
    done = written(of, tmp_path / "out")
    reading, note = done.notes
    assert reading.startswith("to be read back it needs the network")
    assert note.startswith(f"no {PROGRAM}: torch.export does not take this network: ")
    assert "\n" not in note
    assert sorted(path.name for path in done.files) == sorted(
        ["network.json", "weights.safetensors", "sample.safetensors"]
    )
    assert not (tmp_path / "out" / PROGRAM).exists()


def test_it_can_be_left_out(tmp_path: Path) -> None:
    done = written(realised(FIXED), tmp_path / "out", program="false")
    assert (done.notes, (tmp_path / "out" / PROGRAM).exists()) == ((), False)


def test_it_standardises_where_the_network_does(tmp_path: Path) -> None:
    of, x = realised(FIXED), torch.rand(40, 16) * 100
    scaler = Scaler(x.mean(dim=0).numpy(), x.std(dim=0).numpy())
    done = TorchExporter().with_scaler(written(of, tmp_path / "out"), scaler, tmp_path / "out")
    assert [path.name for path in done.files].count(PROGRAM) == 1
    run = torch.export.load(tmp_path / "out" / PROGRAM).module()
    standard = (x - torch.from_numpy(scaler.mean)) / torch.from_numpy(scaler.scale)
    with torch.no_grad():
        assert torch.equal(run(x), of.graph().model(standard))
    assert done.run is not None
    assert torch.equal(done.run(x), run(x))


def test_what_widthwise_loads_is_never_that_file(tmp_path: Path) -> None:
    of = realised(FIXED)
    written(of, tmp_path / "out")
    (tmp_path / "out" / PROGRAM).write_bytes(b"no archive")
    assert torch.equal(
        ww.load(tmp_path / "out", model=small()).model(torch.ones(1, 16)), of.graph().model(torch.ones(1, 16))
    )


def test_a_program_that_differs_on_the_samples_is_refused() -> None:
    one, other = realised(FIXED), realised(WIDE)
    program, _ = program_of(one.graph().model, one)
    assert program is not None
    x = (torch.randn(8, 16),)
    with torch.no_grad():
        check_alike(program, one.graph().model, x, {})
        with pytest.raises(UserError, match="program=false leaves it out"):
            check_alike(program, other.graph().model, x, {})


@pytest.mark.parametrize("grad", [False, True])
def test_a_network_that_was_exported_by_hand_is_as_before(grad: bool) -> None:
    model, x = realised(WIDE).graph().model, torch.randn(300, 16) * 40
    with torch.set_grad_enabled(grad):
        program = torch.export.export(model, (x,)).module()
        wanted = model(x)
        assert torch.equal(program(x), wanted)
    with torch.no_grad():
        assert torch.equal(realised(WIDE).graph().model(x), wanted)


class Recurring(nn.Module):
    """Of any number of steps; torch's exporter fixes it."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.GRU(3, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.steps(x)[0][:, -1]


def test_samples_of_other_shapes_it_refuses_itself(tmp_path: Path) -> None:
    torch.manual_seed(0)
    inputs = (Input("x", (6, 3), "float32"),)
    of = Realised((), {}, {}, inputs=inputs).complete(Recurring().eval())
    done = written(of, tmp_path / "out")
    program = torch.export.load(tmp_path / "out" / PROGRAM).module()
    assert done.run is not None
    for steps, takes in ((6, True), (8, False)):
        x = torch.randn(2, steps, 3)
        with torch.no_grad():
            assert torch.equal(done.run(x), of.graph().model(x))
        if not takes:
            with pytest.raises(AssertionError, match="Guard failed"):
                program(x)
