"""widthwise explain: one screen, files beside the run, and errors in a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.running import Run
from widthwise.study.run_files import DETAIL, LAYERS, TESTED


@pytest.fixture
def searched(demo: Path, run: Run) -> Path:
    done = run("search", "demo.toml", "--train", "--set", "max_epochs=3", "--out", "r", "--quiet")
    assert done.status == 0, done.err
    return demo.parent / "r"


def test_one_screen_and_what_is_written(searched: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    at_the_end = {name: (searched / name).read_bytes() for name in (TESTED, LAYERS, DETAIL)}
    for name in at_the_end:
        (searched / name).unlink()  # as of a run of before
    done = run("explain", "r")
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert {name: (searched / name).read_bytes() for name in at_the_end} == at_the_end
    assert len(lines) <= 40
    assert all(len(line) <= 80 for line in lines)
    assert "What each tensor's format does to accuracy" in done.out
    assert "Mixing against uniform schemes" in done.out
    told = json.loads((searched / "explain.json").read_text())
    assert run("explain", "r", "--json").out != ""
    assert [one["base"] for one in told["around"]] == ["pick", "float"]
    assert told["mixing"][-1]["part"] == "test"


def test_errors_are_a_line(searched: Path, run: Run) -> None:
    for given, said in (
        (["nothing"], "nothing: no such run folder"),
        (["r", "--pick", "best: speed"], "speed"),
        (["r", "--pairs", "-1"], "give 0 or more"),
    ):
        done = run("explain", *given)
        assert done.status == 2
        assert said in done.err
        assert len(done.err.splitlines()) == 1
    assert not (searched / "explain.json").exists()
