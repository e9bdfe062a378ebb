"""The picture of README.md, of a search that takes some seconds: `python benchmarks/pictures.py [FOLDER]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import widthwise as ww
from widthwise.cli import main as widthwise

FORMATS = {
    f"{tensor}_{key}": value
    for tensor, widths in (("data_in", [3, 4, 6, 8]), ("weight", [2, 3, 4, 6, 8]), ("bias", [8]))
    for key, value in (("width", widths), ("frac_width", ["auto-mse"]))
}
CONFIG = {
    "model": "jsc-mlp",
    "dataset": "jsc",
    "search": {
        "search_space": {
            "name": "graph/quantize/mixed_precision_ptq",
            "setup": {"by": "type"},
            "seed": {
                "default": {"config": {"name": ["NA"]}},
                "linear": {"config": {"name": ["integer"], **FORMATS}},
            },
        },
        "strategy": {
            "name": "frontier",
            "metrics": {"accuracy": {"direction": "maximize"}, "model_size": {"direction": "minimize"}},
        },
        "constraints": {"trials": 400},
    },
}


def main(folder: str = "docs/pictures") -> None:
    """Trains, searches, draws."""
    network, data = ww.load_model("jsc-mlp"), ww.load_data("jsc")
    ww.fit(network, data, epochs=50)
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "jsc-mlp"
        study = ww.search(network, data, CONFIG, out=run)
        print(f"{len(study.trials):,} of {study.record.space.size:,} schemes in {study.seconds:.1f} s")
        for name in ("front.svg",):
            widthwise(["report", str(run), "--format", "svg", "--out", f"{folder}/{name}", "--force"])


if __name__ == "__main__":
    main(*sys.argv[1:])
