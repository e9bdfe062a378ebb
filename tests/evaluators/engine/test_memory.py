"""What evaluating takes stays within its budget, however many candidates there are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path
import numpy as np
import torch
import widthwise as ww

torch.set_num_threads(1)
mebibytes = int(sys.argv[1])
data = ww.load_data("jsc", splits=(0, 1, 0), standardise="none")
graph = ww.Graph(ww.load_model("jsc-mlp"))
choices = {"name": ["integer"], "data_in_width": [4, 8], "weight_width": [2, 4, 8], "bias_width": [2, 4, 8]}
space = ww.QuantisationSpace(graph, by="type", seed={"linear": {"config": choices}})
metrics = ["accuracy", "average_bitwidth"]
evaluator = ww.Evaluator(graph, space, data, metrics=metrics, memory=mebibytes * 2**20)
every = np.concatenate(list(space.enumerate()))
evaluator(every[:200])

def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024

Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before = status("VmRSS")
assert len(evaluator(every)["accuracy"]) == 104_976
print(status("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("budget", [64, 256])
def test_a_hundred_thousand_candidates_stay_within_the_budget(budget: int):
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(budget)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert float(ran.stdout) < budget
