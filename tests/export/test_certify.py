"""Certifying trials: figures of Yosys and nextpnr kept in the run, netlists that are wrong found."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import widthwise as ww
from widthwise.core.errors import UserError
from widthwise.export.certify import compared
from widthwise.export.rtl import synthesis, verilog
from widthwise.export.rtl.bench import EXPECTED
from widthwise.export.rtl.stages import Estimate
from widthwise.formats import Integer
from widthwise.metrics.measured import TOOLS
from widthwise.network.realised import Realised
from widthwise.network.scheme import Scheme

pytest.importorskip("alkaid")
NEEDS_YOSYS = pytest.mark.skipif(shutil.which("yosys") is None, reason="needs yosys (make debs)")
NEEDS_IVERILOG = pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs iverilog (make debs)")
NEEDS_NEXTPNR = pytest.mark.skipif(
    shutil.which("nextpnr-ice40") is None, reason="needs nextpnr-ice40 (make debs)"
)
RULE = {
    "name": ["integer"],
    "data_in_width": [2, 3],
    "data_in_frac_width": ["auto"],
    "weight_width": [2],
    "weight_frac_width": ["auto"],
    "bias_width": [3],
}


def config(**rule: list[object]) -> dict[str, object]:
    objectives = {"accuracy": {"direction": "maximize"}, "luts": {"direction": "minimize"}}
    space = {
        "name": "graph/quantize/mixed_precision_ptq",
        "setup": {"by": "type"},
        "seed": {"linear": {"config": {**RULE, **rule}}},
    }
    return {"search": {"search_space": space, "strategy": {"name": "brute-force", "metrics": objectives}}}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 2), nn.ReLU(), nn.Linear(2, 5)).eval()


def small(folder: Path, pipeline: float = 0.0, ternary: bool = False) -> Path:
    """An export of a small network."""
    torch.manual_seed(0)
    made, four = nn.Sequential(nn.Linear(3, 2)).eval(), Integer(4, 2)
    realised = Realised((), {}, {"_0": Scheme(data_in=four, weight=four, bias=four)}).complete(made)
    (folder / "rtl").mkdir()
    (folder / "made").mkdir()
    form = verilog(pipeline, simulate=False, ternary=ternary)
    form.write(realised, realised.graph(), folder / "rtl", (torch.zeros(2, 3),))
    return folder / "rtl"


@pytest.mark.slow
@NEEDS_YOSYS
@NEEDS_IVERILOG
@pytest.mark.parametrize(("pipeline", "ternary"), [(0.0, True), (0.0, False), (1.0, False)])
def test_a_netlist_gives_the_outputs_that_were_expected(
    pipeline: float, ternary: bool, tmp_path: Path
) -> None:
    found = synthesis.synthesised(small(tmp_path, pipeline, ternary), tmp_path / "made")
    assert found.version.startswith("Yosys ")
    assert set(found.metrics) == set(TOOLS["yosys"].metrics)
    netlist = (tmp_path / "made" / synthesis.NETLIST).read_text()
    luts = re.findall(r"^\s+(?:LUT[1-6] #\(|INV \w)", netlist, re.MULTILINE)
    assert found.metrics["yosys_luts"] == len(luts) > 0
    assert bool(found.metrics["yosys_registers"]) == bool(pipeline)
    assert found.notes[-1].endswith("256 of 256 samples: all outputs equal")


@pytest.mark.slow
@NEEDS_YOSYS
@NEEDS_IVERILOG
def test_a_netlist_with_another_output_is_found(tmp_path: Path) -> None:
    rtl = small(tmp_path)
    lines = (rtl / EXPECTED).read_text().splitlines()
    lines[9] = "".join("10"[int(bit)] for bit in lines[9])
    (rtl / EXPECTED).write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match="netlist: the simulator finds only 255 of 256 samples"):
        synthesis.synthesised(rtl, tmp_path / "made")


@NEEDS_YOSYS
@NEEDS_NEXTPNR
@pytest.mark.parametrize("pipeline", [0.0, 1.0])
def test_a_small_one_is_placed_and_routed(pipeline: float, tmp_path: Path) -> None:
    found = synthesis.placed(small(tmp_path, pipeline), tmp_path / "made", luts=20)
    assert found is not None
    assert found.metrics["nextpnr_cells"] > 20
    assert 10 < found.metrics["nextpnr_mhz"] < 1000


def test_a_large_one_is_not() -> None:
    if shutil.which("nextpnr-ice40") is not None:
        assert "3,000 LUTs are more than 2,000" in synthesis.why_not_placed(3000)
    assert synthesis.placed(Path("none"), Path("none"), luts=1e6) is None


@pytest.fixture
def only(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    folder = tmp_path_factory.mktemp("bin")
    monkeypatch.setenv("PATH", os.fspath(folder))
    return folder


def test_without_yosys_that_is_said(project: Path, only: Path) -> None:
    ww.search(network(), ww.load_data("jsc"), config(), out="run", page=False)
    with pytest.raises(UserError, match=r"^yosys: is not installed, and is needed to synthesise; install"):
        ww.certify("run")
    assert not (project / "run" / "measured").exists()


@pytest.mark.slow
@NEEDS_YOSYS
def test_the_front_is_certified_and_kept(project: Path) -> None:
    data = ww.load_data("jsc")
    study = ww.search(network(), data, config(), out="run", page=False)
    found = ww.certify(study, model=network(), data=data, place=False)
    assert [each.trial for each in found] == [tie.trial.number for tie in study.ties]
    again = ww.load_run("run")
    for each in found:
        assert again.measured[each.trial][1].metrics == each.measured[1].metrics
        (of_yosys,) = [measured for measured in each.measured if measured.tool == "yosys"]
        assert of_yosys.label == "Yosys, not Vivado"
        assert "205 of 205 outputs equal" in " ".join(of_yosys.notes)
        assert of_yosys.notes[-1] == "not placed and routed: not asked for"
    kept = json.loads((project / "run" / "front.json").read_text())
    assert kept["front"][0]["measured"][1]["tool"] == "yosys"
    once_more = ww.certify("run", model=network(), data=data, place=False)
    assert all(each.kept for each in once_more)
    assert [each.measured for each in once_more] == [again.measured[each.trial] for each in found]
    (piped,) = ww.certify("run", [found[0].trial], model=network(), data=data, place=False, pipeline=2)
    assert not piped.kept
    assert piped.measured[1].metrics["yosys_registers"] > 0


@pytest.mark.slow
@NEEDS_YOSYS
@pytest.mark.parametrize("way", ["finetuned", "supernet"])
def test_networks_that_were_trained_in_their_formats_are_certified(project: Path, way: str) -> None:
    data, shared = ww.load_data("jsc"), way == "supernet"
    tables: Any = config(data_in_width=[4])
    tables["search"]["search_space"]["setup"] |= (
        {"weights": "supernet"} if shared else {"bias_correction": True}
    )
    tables["search"]["strategy"]["metrics"] = {"loss": {"direction": "minimize"}}
    training = {"steps": 100, "distil": 0.0}
    tables["search"] |= {"training": training} if shared else {"training": training, "finetune": {}}
    study = ww.search(network(), data, tables, out="run", page=False)
    assert [one.better for one in study.finetuned.values()] == ([] if shared else [True])
    (found,) = ww.certify("run", model=network(), data=data, place=False)
    (of_yosys,) = [measured for measured in found.measured if measured.tool == "yosys"]
    assert "205 of 205 outputs equal" in " ".join(of_yosys.notes)
    made = ww.load_run("run").network(found.trial, model=network())
    assert ww.evaluate(made, data, metrics=["loss"])["loss"] == pytest.approx(
        ww.load_run("run").trial(found.trial).metrics["loss"], rel=1e-6
    )


@NEEDS_YOSYS
def test_what_is_no_logic_is_refused(project: Path) -> None:
    floats = config(data_in_width=[4], bias_width=[None])
    floats["search"]["search_space"]["seed"]["linear"]["config"].pop("bias_width")  # type: ignore[index]
    floats["search"]["strategy"]["metrics"].pop("luts")  # type: ignore[index]
    data = ww.load_data("jsc")
    ww.search(network(), data, floats, out="run", page=False)
    with pytest.raises(UserError, match=r"trial 0: trial 0 can't be exported as verilog: .*bias"):
        ww.certify("run", model=network(), data=data)
    with pytest.raises(UserError, match="has no trial 7"):
        ww.certify("run", [7], model=network(), data=data)


def test_sums_over_stages_are_compared_with_the_whole_network(project: Path) -> None:
    study = ww.search(network(), ww.load_data("jsc"), config(), out="run", page=False)
    trial = study.front[0]
    luts = trial.metrics["luts"]
    (near,) = compared(trial, Estimate(luts / 1.005, 1, 1))
    assert near.endswith("summed over stages: within 1% of the whole network's")
    (far,) = compared(trial, Estimate(luts / 1.1, 1, 1))
    assert far.endswith("summed over stages: 10.0% above the whole network's")
    (none,) = compared(trial, Estimate(0, 0, 0))
    assert none.endswith("100.0% above the whole network's")
