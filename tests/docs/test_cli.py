"""What README and docs/cli.md say of the command line is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import widthwise as ww
from helpers.places import ROOT
from helpers.running import Run

CODE = "warning: this config runs code: model nets:build\n"
PAGES = ("README.md", "docs/start.md", "docs/own.md", "docs/cli.md")


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_option_that_a_page_names_exists(page: str, run: Run) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    listed = run("--help").out
    helps = {name: run(name, "--help").out for name in re.findall(r"^  ([a-z-]+)  ", listed, flags=re.M)}
    for command in re.findall(r"(?<!import )\bwidthwise ([a-z-]+)", text):
        assert command in helps, command
    everything = listed + "".join(helps.values()) + run("formats", "plot", "--help").out
    for option in re.findall(r"(?<![-\w])--[a-z][a-z-]+", text):
        assert option in everything, option


def test_the_python_of_the_readme_runs(place: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    names: dict[str, object] = {}
    exec(code.replace("epochs=20", "epochs=2"), names)
    assert names["study"].summary.trials == 100  # type: ignore[attr-defined]
    assert (place / "runs" / type(names["model"]).__name__ / "front.json").is_file()
    assert ww.load("exported").schemes == names["network"].schemes  # type: ignore[attr-defined]


def test_the_demo_on_the_page_is_what_the_demo_prints(run: Run) -> None:
    """But for times, and the figures of the trials: other processors round otherwise while training."""
    text = (ROOT / "docs/start.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```\n(data:  .*?)```", text, flags=re.S)
    printed = run("demo").out
    for line in shown.splitlines():
        if not re.search(r"trials in|──|accuracy \d", line):
            assert line in printed


def test_the_walk_through_with_ones_own_network_leads_to_its_end(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs/own.md").read_text(encoding="utf-8")
    (network,) = re.findall(r"```python file=nets.py\n(.*?)```", text, flags=re.S)
    (place / "nets.py").write_text(network)
    rows = np.random.default_rng(0).normal(size=(200, 4)).round(3)
    lines = [",".join(map(str, row)) + f",{'abc'[int(row[0] > 0) + int(row[1] > 0.5)]}" for row in rows]
    (place / "flowers.csv").write_text("\n".join(["p,q,r,s,label", *lines]) + "\n")
    for command in re.findall(r"^widthwise (.*)$", text, flags=re.M):
        ran = run(*shlex.split(command))
        assert (ran.status, ran.err.replace(CODE, "")) == (0, ""), command
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    monkeypatch.syspath_prepend(place)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["deployed"].check.equal == names["deployed"].check.samples
