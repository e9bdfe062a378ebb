"""Runs, exported folders and reports of tools that nobody meant, and what reads them."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

from hypothesis import strategies as st

import widthwise as ww
from helpers.fuzzing_bytes import answered, spoilt
from helpers.fuzzing_structure import another_json, another_safetensors, change_database
from widthwise.export.importing import read_report
from widthwise.export.latency.kept import read_kept as read_latencies
from widthwise.export.rtl.kept import read_kept as read_logic
from widthwise.report.page.study import study_page
from widthwise.study.checking import check_run
from widthwise.study.expected import KeptExpected
from widthwise.study.run_folder import load_run
from widthwise.study.runs import export_trials, list_runs

TRIALS = 12
UTILISATION = """Copyright 1986-2022 Xilinx, Inc. All Rights Reserved.
| Tool Version : Vivado v.2022.2 (lin64) Build 3671981
| Design       : top
1. CLB Logic
+----------------------------+------+-------+-----------+-------+
|          Site Type         | Used | Fixed | Available | Util% |
+----------------------------+------+-------+-----------+-------+
| CLB LUTs                   |  965 |     0 |    425280 |  0.23 |
| CLB Registers              |  310 |     0 |    850560 |  0.04 |
+----------------------------+------+-------+-----------+-------+
"""
CSYNTH = b"""<profile><ReportVersion><Version>2022.2</Version></ReportVersion><PerformanceEstimates>
<SummaryOfOverallLatency><Average-caseLatency>5</Average-caseLatency><Worst-caseLatency>6</Worst-caseLatency>
<Interval-min>1</Interval-min></SummaryOfOverallLatency></PerformanceEstimates>
<AreaEstimates><Resources><LUT>965</LUT><FF>310</FF><DSP>0</DSP></Resources></AreaEstimates></profile>"""


@cache
def run_files() -> dict[str, bytes]:
    """A run of a small search with all that it keeps, and estimates, times and measurements beside."""
    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(io.StringIO()):
        folder = Path(place) / "run"
        config = {
            "model": "jsc-tiny",
            "dataset": "jsc",
            "search": {
                "search_space": {
                    "name": "graph/quantize/mixed_precision_ptq",
                    "setup": {"by": "name"},
                    "seed": {"default": {"config": {"name": ["fixed", "NA"], "weight_width": [4, 8]}}},
                },
                "strategy": {
                    "name": "random",
                    "setup": {"n_trials": TRIALS},
                    "metrics": {
                        "accuracy": {"direction": "maximize"},
                        "model_size": {"direction": "minimize"},
                    },
                },
            },
        }
        study = ww.search(None, None, config, out=folder)
        study.explain(pairs=4)
        KeptExpected(("accuracy", "model_size"), {3: (0.5, float("nan"))}).write(folder)
        ww.export(study, study.front[0], "torch", folder / "exported")
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and path.stat().st_size < 200_000
        }
    measured = {"tool": "yosys", "label": "Yosys", "version": "0.9", "metrics": {"yosys_luts": 3.0}}
    measured |= {"notes": ["a"], "made": "2026"}
    return files | {
        "measured/trial-0.yosys.json": json.dumps(measured).encode(),
        "logic.json": json.dumps({"stages": {"0" * 32: [3, 4, 1.5]}}).encode(),
        "latency.json": json.dumps(
            {"mark": "m", "float_microseconds": 3.0, "ratios": [[[1, 2], 0.5]]}
        ).encode(),
    }


def _write(folder: Path, *, under: str = "") -> None:
    for name, content in run_files().items():
        if name.startswith(under):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def read_run(data: st.DataObject, folder: Path) -> None:
    """A run folder in which one to three files are others, or none of them regular ones."""
    run = folder / "run"
    _write(run)
    names = sorted(name for name in run_files() if not name.startswith("exported/"))
    for name in data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)):
        _spoil(data, run / name)
    _read_all(run)


def read_database(data: st.DataObject, folder: Path) -> None:
    """A run whose database is another: bytes of it, or values within."""
    run = folder / "run"
    _write(run)
    if data.draw(st.booleans()):
        change_database(data.draw, run / "study.db")
    else:
        _spoil(data, run / "study.db")
    _read_all(run)


def _read_all(run: Path) -> None:
    answered(lambda: list_runs(run))
    answered(lambda: list(check_run(run, networks=False)))
    answered(lambda: export_trials(run, "csv", io.BytesIO()))
    answered(lambda: export_trials(run, "json", io.BytesIO()))
    studies = []
    answered(lambda: studies.append(load_run(run)))
    for study in studies:
        answered(study.as_json)
        answered(lambda: study.pick("knee"))  # noqa: B023 (called at once)
        answered(lambda: study.network(0))  # noqa: B023
        answered(lambda: study_page(study))  # noqa: B023
        answered(lambda: study.tested and study.explanation)  # noqa: B023
    answered(lambda: read_logic(run))
    answered(lambda: read_latencies(run, "m"))


def read_export(data: st.DataObject, folder: Path) -> None:
    """A folder that was exported as torch."""
    _write(folder, under="exported/")
    place = folder / "exported"
    names = sorted(path.name for path in place.iterdir())
    _spoil(data, place / data.draw(st.sampled_from(names)))
    answered(lambda: ww.load(place))


def read_tool_report(data: st.DataObject, folder: Path) -> None:
    """A report of Vivado or Vitis HLS."""
    path = folder / "report"
    if data.draw(st.booleans()):
        path.write_bytes(data.draw(spoilt(UTILISATION.encode())))
    elif data.draw(st.booleans()):
        path.write_bytes(data.draw(spoilt(CSYNTH)))
    else:
        tree = ET.fromstring(CSYNTH)
        nodes = list(tree.iter())
        node = data.draw(st.sampled_from(nodes))
        node.text = data.draw(st.sampled_from(["", "-1", "1e999", "nan", "x" * 1000, "9" * 5000, "undef"]))
        node.tag = data.draw(st.sampled_from([node.tag, "LUT", "x"]))
        path.write_bytes(ET.tostring(tree))
    answered(lambda: read_report(path))


def _spoil(data: st.DataObject, path: Path) -> None:
    """Another content in a file's place, or something that is none."""
    content = path.read_bytes()
    kind = data.draw(st.integers(0, 9))
    if kind == 0:
        path.unlink()
        if data.draw(st.booleans()):
            path.symlink_to(data.draw(st.sampled_from(["/dev/zero", "/etc/hostname", "nowhere", "."])))
        elif data.draw(st.booleans()):
            path.mkdir()
    elif path.suffix == ".json" and kind < 7:
        path.write_bytes(data.draw(another_json(content)))
    elif path.suffix == ".safetensors" and kind < 6:
        path.write_bytes(data.draw(another_safetensors(content)))
    else:
        path.write_bytes(data.draw(spoilt(content)))
