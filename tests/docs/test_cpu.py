"""The page on CPUs and microcontrollers: its commands run one after the other, from its config."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from helpers.places import DOCS
from helpers.running import Run

PAGE = (DOCS / "cpu.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line.removeprefix("widthwise "))
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler (make debs)")
def test_its_commands_lead_to_networks_that_were_compared(run: Run, place: Path) -> None:
    (config,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (place / "cpu.toml").write_text(config)
    assert len(COMMANDS) == 4
    for command in COMMANDS:
        ran = run(*command)
        restless = command[0] == "measure" and "not measurable here" in ran.err  # as the page says
        assert ran.status == 0 or restless, ran.err
    for folder, file in (("deployed", "network.c"), ("int8", "network.onnx")):
        assert (place / folder / file).is_file()
        found = json.loads((place / folder / "export.json").read_text("utf-8"))
        assert found["metrics"]
