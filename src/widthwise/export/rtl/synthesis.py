"""Logic synthesised by Yosys, its netlist simulated, and small ones placed and routed by nextpnr."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from widthwise.core.errors import UserError
from widthwise.export.rtl.bench import TOP
from widthwise.export.rtl.simulating import all_equal
from widthwise.export.tools import is_here, needed, run, version_of
from widthwise.study.measured import Measured

DESIGN = "network"
NETLIST, STATISTICS = "netlist.v", "statistics.json"
FAMILY = "xcup"  # UltraScale+
CELLS = {  # of the netlist, by what they are counted as
    "luts": r"LUT[1-6]|INV",  # an inverter is a LUT of one input
    "registers": r"FD[CPRS]E(_1)?|LD[CP]E",
    "dsps": r"DSP48E[12]|DSP58",
    "carries": r"CARRY[48]",
}
MOST_PLACED = 2_000  # LUTs, with which nextpnr takes minutes

_HARNESS = """\
// One pin in and one out: a design of so many bits has more of them than a package has pins.
module harness(input clk, input x, output reg y);
    reg [{last_in}:0] given;
    reg [{last_out}:0] shown;
    reg [15:0] count = 0;
    wire [{last_out}:0] found;
    network_wrapper dut({clock}.model_inp(given), .model_out(found));
    always @(posedge clk) begin
        given <= {{given, x}};
        count <= count + 1;
        shown <= count == 0 ? found : shown >> 1;
        y <= shown[0];
    end
endmodule
"""


def synthesised(folder: Path, place: Path) -> Measured:
    """What Yosys makes of an export as Verilog for an FPGA of Xilinx; the netlist is NETLIST in `place`.

    place: a folder beside it. The netlist is simulated in the export's own test bench where Icarus Verilog is
    installed; a note says what that found. Raises UserError where Yosys is missing or fails, and where an
    output differs.
    """
    needed("yosys", package="yosys", to="synthesise")
    sources = " ".join(_sources(folder))
    synth = f"synth_xilinx -family {FAMILY} -flatten -top {DESIGN} -noiopad -nowidelut"
    # relative, as a script takes no blanks in a path
    netlist, stat = (os.path.relpath(place / name, folder) for name in (NETLIST, STATISTICS))
    script = f"read_verilog -Isrc -Isrc/static {sources}; {synth}; write_verilog -noattr {netlist}"
    run(["yosys", "-q", "-p", f"{script}; tee -q -o {stat} stat -json"], folder)
    cells = json.loads((place / STATISTICS).read_text())["modules"][f"\\{DESIGN}"]["num_cells_by_type"]
    note = _simulated(folder, place / NETLIST, place)
    return Measured("yosys", version_of("yosys", "-V"), _counts(cells), (synth, note))


def placed(folder: Path, place: Path, luts: float) -> Measured | None:
    """What nextpnr makes of it on an iCE40 HX8K, in a harness of shift registers; None: see `why_not_placed`.

    Raises UserError where a tool fails otherwise than by the design being too large.
    """
    if why_not_placed(luts):
        return None
    wrapper = (folder / "src" / f"{DESIGN}_wrapper.v").read_text()
    last_in, last_out = (
        int(re.findall(rf"\[(\d+):0\]\s+model_{end}\b", wrapper)[0]) for end in ("inp", "out")
    )
    clock = ".clk(clk), " if re.search(r"input\s+(wire\s+)?clk", wrapper) else ""
    harness, netlist = place / "harness.v", place / "harness.json"
    harness.write_text(_HARNESS.format(last_in=last_in, last_out=last_out, clock=clock))
    own, made = os.path.relpath(harness, folder), os.path.relpath(netlist, folder)
    sources = " ".join([*_sources(folder), f"src/{DESIGN}_wrapper.v", own])
    script = f"read_verilog -Isrc -Isrc/static {sources}; synth_ice40 -top harness -json {made}"
    run(["yosys", "-q", "-p", script], folder)
    report = place / "nextpnr.json"
    device = ["--hx8k", "--package", "ct256", "--seed", "1"]
    run(["nextpnr-ice40", "-q", *device, "--json", str(netlist), "--report", str(report)], place)
    found = json.loads(report.read_text())
    clocks = [clock["achieved"] for clock in found["fmax"].values()]
    metrics = {"nextpnr_cells": float(found["utilization"]["ICESTORM_LC"]["used"])}
    if clocks:
        metrics["nextpnr_mhz"] = float(min(clocks))
    note = f"with {last_in + last_out + 2 + 17} registers around the logic that shift samples in and out"
    told = re.search(r"Version ([^)\s]+)", version_of("nextpnr-ice40"))
    return Measured("nextpnr", f"nextpnr-ice40 {told[1] if told else ''}".strip(), metrics, (note,))


def why_not_placed(luts: float) -> str:
    """Why a design of so many LUTs is not placed and routed; "" where it is."""
    if not is_here("nextpnr-ice40"):
        return "not placed and routed: nextpnr-ice40 is not installed"
    if luts > MOST_PLACED:
        return f"not placed and routed: {luts:,.0f} LUTs are more than {MOST_PLACED:,}"
    return ""


def _sources(folder: Path) -> list[str]:
    """The network's own files, without the wrapper that gives its ports their widths."""
    return sorted(
        str(path.relative_to(folder))
        for path in (folder / "src").rglob("*.v")
        if path.name != f"{DESIGN}_wrapper.v"
    )


def _counts(cells: Mapping[str, int]) -> dict[str, float]:
    return {
        f"yosys_{name}": float(sum(count for cell, count in cells.items() if re.fullmatch(pattern, cell)))
        for name, pattern in CELLS.items()
    }


def _simulated(folder: Path, netlist: Path, place: Path) -> str:
    """What the test bench says of the netlist; UserError where an output differs."""
    models = _cell_models()
    if not is_here("iverilog") or models is None:
        missing = "Icarus Verilog" if models is not None else "the models of the cells"
        return f"the netlist was not simulated: {missing} is not installed"
    program = place / "netlist.vvp"
    sources = [
        str(folder / f"{TOP}.v"),
        str(netlist),
        str(folder / "src" / f"{DESIGN}_wrapper.v"),
        str(models),
    ]
    run(["iverilog", "-g2012", "-s", TOP, "-o", str(program), *sources], place)
    return (
        f"the netlist simulated by Icarus Verilog: {all_equal('netlist', run(['vvp', str(program)], folder))}"
    )


def _cell_models() -> Path | None:
    """The file in which Yosys has what Xilinx' cells do."""
    program = shutil.which("yosys")
    if program is None:
        raise UserError("yosys: is not installed")
    found = Path(program).resolve().parent.parent / "share" / "yosys" / "xilinx" / "cells_sim.v"
    return found if found.is_file() else None
