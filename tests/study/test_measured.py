"""What tools measured, as a run keeps it: in the study, in tables and files, and what is broken there."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import widthwise as ww
from helpers.configs import FORMATS
from widthwise.core.errors import UserError
from widthwise.metrics.measured import MEASURED, TOOLS
from widthwise.study.measured import Measured, keep_measured, measured_columns, read_measured
from widthwise.study.runs import export_trials

FOUND = Measured(
    "yosys", "Yosys 0.23", {"yosys_luts": 41.0, "yosys_dsps": 0.0}, ("without registers",), "now"
)


@pytest.fixture
def study(project: Path) -> ww.Study:
    return ww.search(None, None, FORMATS, out="run", page=False)


def test_what_is_kept_is_read(tmp_path: Path) -> None:
    other = replace(FOUND, tool="vivado", metrics={"vivado_luts": 3.0})
    for number, measured in ((12, FOUND), (3, other), (12, replace(other, version="older")), (12, other)):
        keep_measured(tmp_path, number, measured)
    assert read_measured(tmp_path) == {3: (other,), 12: (FOUND, other)}
    assert read_measured(None) == read_measured(tmp_path / "none") == {}


def test_a_study_has_it_in_json_and_tables(study: ww.Study) -> None:
    assert study.folder is not None
    on_front, other = (
        study.front[0].number,
        next(
            number for number in range(study.summary.trials) if number not in {t.number for t in study.front}
        ),
    )
    for number in (on_front, other):
        keep_measured(study.folder, number, FOUND)
    found = ww.load_run(study.folder)
    (entry,) = [each for each in found.as_json()["front"] if "measured" in each]
    assert entry["number"] == on_front
    assert entry["measured"] == [FOUND.as_json()]
    frame = found.to_pandas().set_index("number")
    assert frame["yosys_luts"].dropna().to_dict() == {on_front: 41.0, other: 41.0}
    assert "vivado_luts" not in frame.columns
    out = io.BytesIO()
    export_trials(study.folder, "csv", out)
    rows = {int(row["number"]): row for row in csv.DictReader(io.StringIO(out.getvalue().decode()))}
    assert {number for number, row in rows.items() if row["yosys_luts"] == "41.0"} == {on_front, other}
    out = io.BytesIO()
    export_trials(study.folder, "json", out)
    listed = {trial["number"]: trial.get("measured") for trial in json.loads(out.getvalue())}
    assert listed[other] == [FOUND.as_json()]
    assert sum(measured is not None for measured in listed.values()) == 2


def test_rules_pick_by_what_tools_measured(study: ww.Study) -> None:
    assert study.folder is not None
    first, second = study.front[0].number, study.front[-1].number
    for number, luts in ((first, 41.0), (second, 90.0)):
        keep_measured(study.folder, number, replace(FOUND, metrics={"yosys_luts": luts}))
    found = ww.load_run(study.folder)
    assert found.pick("best yosys_luts").number == first
    assert found.pick("best accuracy with yosys_luts <= 50").number == first
    best = max((found.trial(first), found.trial(second)), key=lambda trial: trial.metrics["accuracy"])
    assert found.pick("best accuracy with yosys_luts <= 90").number == best.number
    with pytest.raises(UserError, match="no candidate meets yosys_luts <= 40"):
        found.pick("knee with yosys_luts <= 40")
    with pytest.raises(UserError, match="vivado_luts was measured of no trial"):
        found.pick("best accuracy with vivado_luts <= 50")


def test_a_column_that_is_taken_keeps_its_name() -> None:
    found = measured_columns({2: (FOUND,)}, [1, 2], taken=("yosys_luts",))
    assert list(found) == ["measured.yosys_luts", "yosys_dsps"]
    assert np.array_equal(found["measured.yosys_luts"], [np.nan, 41], equal_nan=True)


def test_every_metric_is_of_the_tool_that_it_is_named_after() -> None:
    assert all(metric.kind == "measured" and metric.is_hardware for metric in MEASURED.values())
    assert all(name.startswith(f"{key}_") for key, tool in TOOLS.items() for name in tool.metrics)


@pytest.mark.parametrize(
    "change",
    [
        {"tool": "vivado"},
        {"metrics": {"accuracy": 1.0}},
        {"metrics": {"yosys_luts": "many"}},
        {"metrics": {"yosys_luts": -1}},
        {"metrics": {"yosys_luts": float("nan")}},
        {"metrics": [3]},
        {"notes": [3]},
        {"version": None},
    ],
)
def test_a_broken_file_is_an_error_that_names_it(change: dict[str, object], tmp_path: Path) -> None:
    keep_measured(tmp_path, 1, FOUND)
    file = tmp_path / "measured" / "trial-1.yosys.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(UserError, match=r"trial-1\.yosys\.json: is broken; delete it"):
        read_measured(tmp_path)


def test_other_names_are_no_figures_and_texts_are_short_lines(tmp_path: Path) -> None:
    keep_measured(tmp_path, 1, replace(FOUND, version="a\x1b[2Jb\nc" + "d" * 1000))
    for name in ("trial-2.other.json", "trial--1.yosys.json", "trial-1.yosys.json.part", "x"):
        (tmp_path / "measured" / name).write_text("{")
    ((_, (found,)),) = read_measured(tmp_path).items()
    assert found.version.startswith("a[2Jbcd")
    assert len(found.version) <= 500


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "measured").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="measured: is a link, and of a run only files"):
        keep_measured(tmp_path, 1, FOUND)
    assert not list((tmp_path / "elsewhere").iterdir())
