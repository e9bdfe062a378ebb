"""Test benches run in a simulator, where one is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from widthwise.core.errors import UserError
from widthwise.export.rtl.bench import TOP, Flavor

SIMULATORS: dict[Flavor, str] = {"verilog": "verilator", "vhdl": "ghdl"}
NAMES = {"verilator": "Verilator", "ghdl": "GHDL"}
SECONDS = 3600


def simulated(flavor: Flavor, folder: Path) -> str:
    """What the test bench in a folder said, or that it was not run; UserError where an output differs."""
    tool, folder = SIMULATORS[flavor], folder.resolve()
    if shutil.which(tool) is None:
        return f"the test bench was not run: {NAMES[tool]} is not installed"
    with TemporaryDirectory(prefix="widthwise-rtl-") as place:
        told = {"verilog": _verilated, "vhdl": _analysed}[flavor](folder, Path(place))
    found = re.search(r"(\d+) of (\d+) samples: all outputs equal", told)
    if found is None:
        raise UserError(f"{flavor}: {tool} ran the test bench, which said nothing: {told[-300:]}")
    if found[1] != found[2]:
        raise UserError(f"{flavor}: {tool} finds only {found[0]}; nothing was kept")
    return f"{NAMES[tool]} ran the test bench: {found[0]}"


def _verilated(folder: Path, place: Path) -> str:
    sources = sorted(map(str, (folder / "src").rglob("*.v")))
    optimising = "-O0"  # Verilator 5.006 takes hours over deep logic at higher levels
    flags = ["--binary", "--timing", optimising, "-Wno-fatal", "-Wno-lint", "-Wno-style", "--top-module", TOP]
    make = ["-CFLAGS", "-O0", "-j", "2", "--Mdir", str(place / "made")]
    run(["verilator", *flags, *make, str(folder / f"{TOP}.v"), *sources], place)
    return run([str(place / "made" / f"V{TOP}")], folder)


def _analysed(folder: Path, place: Path) -> str:
    sources = sorted(map(str, (folder / "src").rglob("*.vhd")))
    options = ["--std=08", f"--workdir={place}"]
    run(["ghdl", "-i", *options, *sources, str(folder / f"{TOP}.vhd")], place)
    run(["ghdl", "-m", *options, TOP], place)
    return run(["ghdl", "-r", *options, TOP], folder)


def run(command: Sequence[str], folder: Path) -> str:
    """What a tool printed when it ran in a folder; UserError where it fails, with what it said."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"{Path(command[0]).name} took more than {SECONDS} s and was stopped") from None
    if done.returncode:
        told = (done.stderr or done.stdout).strip().splitlines()
        raise UserError(f"{Path(command[0]).name} fails: {' '.join(told[:3])[:300]}")
    return done.stdout
