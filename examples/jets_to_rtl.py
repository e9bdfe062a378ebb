"""A network for jets from float to Verilog: trained, searched, picked, written, compared.

    python examples/jets_to_rtl.py [FOLDER]

Needs widthwise[fpga]; where verilator is installed the Verilog itself is simulated, else its logic is.
"""

import sys
from pathlib import Path

import torch
from torch import nn

import widthwise as ww

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "jets")
data = ww.load_data("jsc")
torch.manual_seed(0)
network = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 5))
ww.fit(network, data, epochs=60)

widths = {"data_in_width": [4, 6], "weight_width": [2, 3, 4], "bias_width": [6]}
points = {key.replace("width", "frac_width"): ["auto-mse"] for key in widths}
config = {
    "search": {
        "search_space": {
            "name": "graph/quantize/mixed_precision_ptq",
            "setup": {"by": "type"},
            "seed": {"linear": {"config": {"name": ["integer"], **widths, **points}}},
        },
        "strategy": {
            "name": "brute-force",
            "metrics": {"accuracy": {"direction": "maximize"}, "luts": {"direction": "minimize"}},
        },
        "constraints": {"target": "verilog"},
    }
}
study = ww.search(network, data, config, out=folder / "run")
best = study.pick("knee")
print(f"{len(study.trials)} schemes, {len(study.front)} on the front")
print(
    f"picked trial {best.number}: accuracy {best.metrics['accuracy']:.3f}, {best.metrics['luts']:,.0f} LUTs"
)

written = ww.export(study, best, "verilog", folder / "rtl")
print(f"{written.check.equal} of {written.check.samples} outputs equal: {written.folder}")
