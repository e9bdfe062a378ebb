"""Every network of a front of trained widths as Verilog, for training.py.

One run on the jets network (split 0). Each member of its front, from the smallest on, is exported as Verilog:
alkaid's interpreter has to give the judged network's outputs on all validation samples, and Verilator, which
runs the logic in its test bench, those expected of 256 samples. The three smallest are synthesised by Yosys
(`synth_xilinx`), whose netlist Icarus Verilog simulates.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import widthwise as ww
from tasks.networks import jets_mlp
from widthwise.data.modules import load_data
from widthwise.export.tools import is_here
from widthwise.study.study import Study

SYNTHESISED = 3  # the smallest: Yosys takes minutes for each


def to_rtl(config: dict[str, Any]) -> None:
    """Prints a line for each member of the front, and for each that is synthesised."""
    if missing := [tool for tool in ("verilator", "yosys") if not is_here(tool)]:
        print(json.dumps({"rtl": "skipped", "reason": f"{', '.join(missing)}: not installed"}), flush=True)
        return
    model, _ = jets_mlp()
    data = load_data("jsc", seed=0, standardise="reference")
    with TemporaryDirectory() as place:
        study = ww.search(model, data, config, out=Path(place) / "run")
        members = sorted(study.front, key=lambda trial: trial.metrics["ebops"])
        equal = sum(exported(study, trial, Path(place), data) for trial in members)
        print(json.dumps({"members": len(members), "equal_in_verilator": equal}), flush=True)
        for trial in members[:SYNTHESISED]:
            synthesised(study, trial, data)


def exported(study: Study, trial: ww.Trial, place: Path, data: Any) -> bool:
    """Whether all outputs are equal, in the interpreter and in Verilator."""
    began = time.monotonic()
    try:
        done = ww.export(study, trial, "verilog", place / f"trial-{trial.number}", data=data)
    except ww.UserError as error:
        print(json.dumps({"trial": trial.number, "fails": str(error)}), flush=True)
        return False
    notes = " ".join(done.exported.notes)
    said = {"trial": trial.number, "ebops": int(trial.metrics["ebops"]), "pruned": dict(done.pruned)}
    said |= {"equal": f"{done.check.equal} of {done.check.samples}", "notes": notes}
    print(json.dumps({**said, "seconds": round(time.monotonic() - began)}), flush=True)
    return "Verilator ran the test bench: 256 of 256 samples" in notes and done.check.passes(exact=True)


def synthesised(study: Study, trial: ww.Trial, data: Any) -> None:
    """Prints what Yosys makes of a trial's logic."""
    (found,) = ww.certify(study, [trial], place=False, data=data)
    measured = {name: value for each in found.measured for name, value in each.metrics.items()}
    notes = [note for each in found.measured for note in each.notes]
    print(json.dumps({"trial": trial.number, **measured, "notes": notes}), flush=True)
