"""The command line in this process: its exit status and what it writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from running import Ran, Run

from widthwise.cli import main
from widthwise.config import example_text


@pytest.fixture
def place(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory; nothing of the tester's terminal is seen."""
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return project


@pytest.fixture
def run(place: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in the empty directory: run("search", "demo.toml") -> Ran."""
    del place

    def ran(*arguments: object) -> Ran:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        written = capfd.readouterr()
        return Ran(status, written.out, written.err)

    return ran


@pytest.fixture
def demo(place: Path) -> Path:
    """The demo's config as demo.toml."""
    (place / "demo.toml").write_text(example_text("jsc-tiny"))
    return place / "demo.toml"
