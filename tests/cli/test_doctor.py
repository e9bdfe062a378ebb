"""What a machine has and lacks, as `widthwise doctor` tells it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from helpers.places import ROOT
from helpers.running import Run
from widthwise.report.machine import PACKAGES


def test_what_is_missing_is_told_with_how_to_get_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "g++"
    compiler.write_text("")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = run("doctor")
    assert (ran.status, ran.err) == (0, "")
    assert str(compiler) in ran.out
    assert "  yosys: apt-get install yosys\n" in ran.out
    found = {part["name"]: part["found"] for part in json.loads(run("doctor", "--json").out)}
    assert (found["g++"], found["yosys"]) == (str(compiler), None)
    assert found["torch"].startswith("2.")


def test_every_extra_that_is_named_is_the_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    named = {extra for _, extra in PACKAGES.values() if extra is not None}
    assert named <= set(extras)
    for name, (_, extra) in PACKAGES.items():
        wanted = project["dependencies"] if extra is None else extras[extra]
        assert any(each.lower().startswith(name.lower()) for each in wanted)
