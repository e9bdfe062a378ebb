"""Latencies kept in a run: read back as they were, for this machine alone, and never trusted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from widthwise.export.latency.kept import FILE, keep, machine_mark, read_kept
from widthwise.metrics.timing import Timing

RATIOS = {(1, 2): 0.25, (3, 4): 1.5}


def test_they_are_read_back_as_they_were(tmp_path: Path) -> None:
    assert read_kept(tmp_path, "here") == (None, {})
    keep(tmp_path, "here", 12.5, RATIOS)
    assert read_kept(tmp_path, "here") == (12.5, RATIOS)


def test_those_of_another_machine_are_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keep(tmp_path, "here", 12.5, RATIOS)
    assert read_kept(tmp_path, "there") == (None, {})
    assert "another machine" in caplog.text


def test_settings_and_what_runs_are_part_of_the_mark() -> None:
    marks = {machine_mark(timing, runtime) for timing in (Timing(), Timing(threads=2)) for runtime in "ab"}
    assert len(marks) == 4
    assert machine_mark(Timing(), "a") in marks


@pytest.mark.parametrize(
    "change",
    [
        {"ratios": [[[1], "0.2"]]},
        {"ratios": [[["1"], 0.2]]},
        {"ratios": [[[1], -0.2]]},
        {"ratios": [[[1], 1e999]]},
        {"ratios": [[[True], 1.0]]},
        {"ratios": 5},
        {"float_microseconds": 0},
        {"float_microseconds": None},
    ],
)
def test_what_is_broken_is_measured_again(
    change: dict[str, object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = {"mark": "here", "float_microseconds": 12.5, "ratios": [[[1], 0.5]]}
    (tmp_path / FILE).write_text(json.dumps(content))
    assert read_kept(tmp_path, "here") == (12.5, {(1,): 0.5})
    (tmp_path / FILE).write_text(json.dumps(content | change))
    assert read_kept(tmp_path, "here") == (None, {})
    assert "is broken" in caplog.text


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_what_is_no_json_is_measured_again(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)
    assert read_kept(tmp_path, "here") == (None, {})


def test_links_and_pipes_are_not_read(tmp_path: Path) -> None:
    keep(tmp_path, "here", 12.5, RATIOS)
    (tmp_path / FILE).rename(tmp_path / "elsewhere")
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    assert read_kept(tmp_path, "here") == (None, {})
    (tmp_path / FILE).unlink()
    os.mkfifo(tmp_path / FILE)
    assert read_kept(tmp_path, "here") == (None, {})
