"""Other programs, run for what they say: compilers, simulators, synthesis."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from widthwise.core.errors import UserError

SECONDS = 3600  # that a tool may take
SAID = 300  # characters of what a tool complains of


def is_here(tool: str) -> bool:
    """Whether a tool is installed."""
    return shutil.which(tool) is not None


def needed(tool: str, *, package: str, to: str) -> None:
    """Raises UserError where a tool is not installed; package: what has it; to: what it is needed for."""
    if not is_here(tool):
        raise UserError(f"{tool}: is not installed, and is needed to {to}; install {package}")


def run(command: Sequence[str], folder: Path | None = None, text: str = "", seconds: float = SECONDS) -> str:
    """What a tool printed when it ran in a folder, given a text; UserError where it fails."""
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds,
        )
    except FileNotFoundError:
        raise UserError(f"{name}: is not installed") from None
    except subprocess.TimeoutExpired:
        raise UserError(f"{name} took more than {seconds:g} s and was stopped") from None
    if done.returncode:
        told = (done.stderr or done.stdout).strip().splitlines()
        raise UserError(f"{name} fails: {' '.join(told[:3])[:SAID]}")
    return done.stdout


def version_of(tool: str, option: str = "--version") -> str:
    """The first line in which a tool tells its version, on either stream."""
    done = subprocess.run([tool, option], capture_output=True, text=True, errors="replace", check=False)
    lines = [line.strip() for line in (done.stdout + "\n" + done.stderr).splitlines()]
    told = next((line for line in lines if re.search(r"\d+\.\d+", line)), "of unknown version")
    return told[:SAID]
