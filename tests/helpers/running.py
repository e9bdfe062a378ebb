"""The command line in this process: its exit status, what it writes, and what it leaves behind."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from widthwise.cli import main
from widthwise.config import example_text


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    status: int
    out: str
    err: str


Run = Callable[..., Ran]


def files_in(folder: Path) -> dict[str, int]:
    """All files under the folder with their sizes."""
    return {
        os.fspath(path.relative_to(folder)): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def place(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory; nothing of the tester's terminal is seen."""
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return project


@pytest.fixture
def run(place: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in the empty directory: run("search", "demo.toml") -> Ran.

    A search writes its page, which takes as long as the rest of a small one, where the test says page=True.
    """
    del place

    def ran(*arguments: object, page: bool = False) -> Ran:
        capfd.readouterr()
        command = [str(argument) for argument in arguments]
        if command[:1] == ["search"] and not page and "--no-page" not in command:
            command.append("--no-page")
        status = main(command)
        written = capfd.readouterr()
        return Ran(status, written.out, written.err)

    return ran


@pytest.fixture
def demo(place: Path) -> Path:
    """The demo's config as demo.toml."""
    (place / "demo.toml").write_text(example_text("jsc-tiny"))
    return place / "demo.toml"
