"""The page on FPGAs: its commands run one after the other, where their tools are."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

import widthwise as ww
from helpers.places import DOCS
from helpers.running import Run
from widthwise.metrics.measured import TOOLS

PAGE = (DOCS / "fpga.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line.removeprefix("widthwise "))
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]
SEARCHES = COMMANDS[:2]
REPORTS = [command for command in COMMANDS if command[0] == "import-report"]
SLOW = [command for command in COMMANDS if command not in (*SEARCHES, *REPORTS)]
UTILISATION = "| Site Type | Used |\n| CLB LUTs* | 33 |\n"
CSYNTH = "<profile><AreaEstimates><Resources><LUT>40</LUT></Resources></AreaEstimates></profile>"
NEEDS = {"certify": "yosys", "hls4ml": "g++"}


@pytest.fixture
def searched(place: Path, run: Run) -> Path:
    """The page's search, run as it says."""
    pytest.importorskip("alkaid")
    (config,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (place / "fpga.toml").write_text(config)
    for command in SEARCHES:
        ran = run(*command)
        assert ran.status == 0, ran.err
    return place / "runs" / "fpga"


def test_its_search_finds_a_front_and_its_reports_are_read(run: Run, searched: Path, place: Path) -> None:
    study = ww.load_run(searched)
    assert study.summary.trials == 9
    assert {"luts", "latency_cycles"} <= set(study.record.columns)
    assert (searched / "logic.json").is_file()
    (place / "utilisation.rpt").write_text(UTILISATION)
    (place / "csynth.xml").write_text(CSYNTH)
    for command in REPORTS:
        ran = run(*command)
        assert ran.status == 0, ran.err
    assert [found.tool for found in ww.load_run(searched).measured[0]] == ["vivado", "vitis_hls"]


@pytest.mark.slow
def test_its_other_commands_run(run: Run, searched: Path) -> None:
    pytest.importorskip("hls4ml")
    assert len(SLOW) == 5
    for command in SLOW:
        missing = [tool for word, tool in NEEDS.items() if word in command and shutil.which(tool) is None]
        if missing:
            pytest.skip(f"needs {missing[0]} (make debs)")
        ran = run(*command)
        assert ran.status == 0, ran.err
    assert len(ww.load_run(searched).measured) >= 1


def test_it_names_figures_that_there_are() -> None:
    known = {name for tool in TOOLS.values() for name in tool.metrics}
    named = set(re.findall(r"`((?:yosys|nextpnr|vivado)_\w+)`", PAGE))
    assert named
    assert named <= known
