"""widthwise certify and import-report: what they print, keep and refuse."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import widthwise as ww
from helpers.configs import FORMATS
from helpers.running import Run, files_in

REPORT = """\
| Tool Version : Vivado v.2022.2 (lin64) Build 3671981
| Device       : xcvu13p-flga2577-2-e
+-----------+------+
| Site Type | Used |
+-----------+------+
| CLB LUTs* | 1376 |
| DSPs      |    0 |
+-----------+------+
"""
TINY = """
model = "jsc-tiny"
dataset = "jsc"
[search.search_space]
name = "graph/quantize/mixed_precision_ptq"
setup.by = "type"
setup.fold_batchnorm = true
[search.search_space.seed.linear.config]
name = ["integer"]
data_in_width = [2, 3]
weight_width = [2]
bias_width = [3]
[search.search_space.seed.batch_norm1d.config]
name = ["integer"]
data_in_width = [4]
weight_width = [3]
bias_width = [3]
[search.strategy]
name = "brute-force"
metrics.accuracy.direction = "maximize"
metrics.luts.direction = "minimize"
"""


@pytest.fixture
def searched(place: Path) -> ww.Study:
    del place
    return ww.search(None, None, FORMATS, out="here", page=False)


def test_a_report_is_read_kept_and_shown(run: Run, searched: ww.Study, place: Path) -> None:
    (place / "util.rpt").write_text(REPORT)
    number = searched.front[0].number
    ran = run("import-report", "here", "--trial", number, "util.rpt")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        f"Trial {number} of here, by Vivado v.2022.2 (lin64) Build 3671981:",
        "    luts 1,376, dsps 0",
        "    device xcvu13p-flga2577-2-e",
    ]
    shown = run("report", "here").out
    assert "Measured:" in shown
    assert "luts 1,376, dsps 0" in shown
    listed = json.loads(run("report", "here", "--json").out)["front"]
    assert listed[0]["measured"][0]["metrics"] == {"vivado_luts": 1376, "vivado_dsps": 0}
    assert json.loads((place / "here" / "front.json").read_text())["front"] == listed
    header, *rows = run("trials", "here").out.splitlines()
    assert header.endswith(",vivado_luts,vivado_dsps")
    assert [row.endswith(",1376.0,0.0") for row in rows].count(True) == 1
    told = run("import-report", "here", "--trial", number, "util.rpt", "--json")
    assert json.loads(told.out)["tool"] == "vivado"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("here", "--trial", 999, "util.rpt"), "error: here has no trial 999; it has "),
        (("here", "--trial", 0, "none.rpt"), "error: none.rpt: no such file"),
        (("here", "--trial", 0, "here/config.toml"), "error: here/config.toml: has no table with a row"),
        (("there", "--trial", 0, "util.rpt"), "error: there: no such run folder"),
    ],
)
def test_what_is_wrong_is_said_in_a_line_and_nothing_is_kept(
    arguments: tuple[object, ...], says: str, run: Run, searched: ww.Study, place: Path
) -> None:
    del searched
    (place / "util.rpt").write_text(REPORT)
    before = files_in(place)
    ran = run("import-report", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(says)
    assert ran.err.count("\n") == 1
    assert files_in(place) == before


def test_without_yosys_certify_says_so(
    run: Run, searched: ww.Study, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del searched
    monkeypatch.setenv("PATH", str(place))
    ran = run("certify", "here")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("error: yosys: is not installed, and is needed to synthesise; install yosys")
    monkeypatch.undo()
    ran = run("certify", "here", "--trial", 0, "--pick", "knee")
    assert ran.err == "error: --trial and --pick contradict one another; leave one out\n"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("yosys") is None, reason="needs yosys (make debs)")
def test_a_trial_is_certified(run: Run, place: Path) -> None:
    pytest.importorskip("alkaid")
    (place / "tiny.toml").write_text(TINY)
    assert run("search", "tiny.toml", "--train").status == 0
    ran = run("certify", "runs/tiny", "--pick", "best accuracy")
    assert (ran.status, ran.err) == (0, "")
    assert " (1 of 1): written as Verilog, mapped by Yosys" in ran.out
    assert "Yosys, not Vivado (Yosys " in ran.out
    assert "summed over stages: " in ran.out
    shown = run("report", "runs/tiny").out
    assert "Yosys, not Vivado" in shown
    assert "luts, a sum over stages, is off alkaid's estimate of the whole network by at most" in shown
    again = json.loads(run("certify", "runs/tiny", "--pick", "best accuracy", "--json").out)
    assert again[0]["kept"] is True
    assert again[0]["refused"] is None
