"""Test benches run in a simulator, where one is installed."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from widthwise.core.errors import UserError
from widthwise.export.rtl.bench import TOP, Flavor
from widthwise.export.tools import is_here, run

SIMULATORS: dict[Flavor, str] = {"verilog": "verilator", "vhdl": "ghdl"}
NAMES = {"verilator": "Verilator", "ghdl": "GHDL"}


def simulated(flavor: Flavor, folder: Path) -> str:
    """What the test bench in a folder said, or that it was not run; UserError where an output differs."""
    tool, folder = SIMULATORS[flavor], folder.resolve()
    if not is_here(tool):
        return f"the test bench was not run: {NAMES[tool]} is not installed"
    with TemporaryDirectory(prefix="widthwise-rtl-") as place:
        told = {"verilog": _verilated, "vhdl": _analysed}[flavor](folder, Path(place))
    return f"{NAMES[tool]} ran the test bench: {all_equal(flavor, told, tool)}"


def all_equal(what: str, told: str, tool: str = "the simulator") -> str:
    """What a test bench told of its samples, where it found all outputs equal; UserError where it did not."""
    found = re.search(r"(\d+) of (\d+) samples: all outputs equal", told)
    if found is None:
        raise UserError(f"{what}: {tool} ran the test bench, which said nothing: {told[-300:]}")
    if found[1] != found[2]:
        raise UserError(f"{what}: {tool} finds only {found[0]}; nothing was kept")
    return found[0]


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
