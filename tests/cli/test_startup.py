"""Help and config errors answer at once: they import none of the heavy packages."""

from __future__ import annotations

import builtins
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers import searches
from widthwise.cli import main

HEAVY = ("torch", "numpy", "optuna", "sqlalchemy", "pandas", "plotly", "scipy", "sklearn", "rich")
PROGRAM = f"""
import sys
from widthwise.cli import main
status = main(sys.argv[1:])
print("loaded:", *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["search", "--help"], 0),
        (["serch"], 2),
        (["search", "demo.toml"], 2),
        (["search", "demo.toml", "--model", "jsc-tinny"], 2),
        (["search", "missing.toml"], 2),
        (["init", "jsc-tinny"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_help_and_errors_import_nothing_heavy(arguments: list[str], status: int, demo: Path) -> None:
    demo.write_text(demo.read_text().replace("data_in_width", "data_in_widht"))
    command = [sys.executable, "-c", PROGRAM, *arguments]
    ran = subprocess.run(command, cwd=demo.parent, capture_output=True, text=True, check=False)
    assert ran.returncode == status, ran.stderr
    assert ran.stderr.splitlines()[-1] == "loaded:"


def test_help_reads_no_config() -> None:
    """Else it takes twice as long."""
    code = PROGRAM.replace(repr(HEAVY), repr(("widthwise.config", "widthwise.formats")))
    ran = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    assert ran.stderr.splitlines()[-1] == "loaded:"


def test_every_command_has_help(place: Path) -> None:
    def helped(*path: str) -> str:
        command = [sys.executable, "-m", "widthwise", *path, "--help"]
        return subprocess.run(command, cwd=place, capture_output=True, text=True, check=True).stdout

    listed = helped().partition("Commands:\n")[2]
    names = [line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line[2] != " "]
    assert {"search", "train", "test", "inspect", "init", "demo", "formats", "runs", "report"} <= set(names)
    assert not [line for line in listed.splitlines() if line.endswith("...")]
    assert "Usage: widthwise search" in helped("search")


OURS = ("search", "train", "test", "inspect", "init", "demo", "formats", "runs", "report", "trials", "rm")


@pytest.mark.parametrize(
    "arguments", [["report"], ["importance"], ["trials", "--format", "json"]], ids=lambda value: value[0]
)
def test_reading_trials_imports_no_torch(arguments: list[str], tmp_path: Path) -> None:
    """It takes a second and 170 MB."""
    searches.search(tmp_path / "run")
    code = PROGRAM.replace(repr(HEAVY), repr(("torch",)))
    command = [sys.executable, "-c", code, arguments[0], str(tmp_path / "run"), *arguments[1:]]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stderr.splitlines()[-1] == "loaded:"


def test_ctrl_c_while_the_program_loads_ends_it_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = builtins.__import__

    def stopped(name: str, *others: Any, **named: Any) -> Any:
        if name == "widthwise.cli.app":
            raise KeyboardInterrupt
        return loaded(name, *others, **named)

    monkeypatch.setattr(builtins, "__import__", stopped)
    assert main(["--help"]) == 130
