"""What README and docs/cli.md say of the command line is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helpers.places import ROOT
from helpers.running import Run

PAGES = ("README.md", "docs/cli.md")


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
    exec(code.replace('"examples/', f'"{ROOT}/examples/').replace("epochs=20", "epochs=2"), names)
    assert names["study"].summary.trials == 5832  # type: ignore[attr-defined]
    assert (place / "runs" / "three-linear-by-name" / "front.json").is_file()


def test_the_readmes_demo_is_what_the_demo_prints(run: Run) -> None:
    """But for times, and the figures of the trials: other processors round otherwise while training."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```\n(data:  .*?)```", text, flags=re.S)
    printed = run("demo").out
    for line in shown.splitlines():
        if not re.search(r"trials in|──|accuracy \d", line):
            assert line in printed
