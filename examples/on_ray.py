"""A search whose candidates are trained by the workers of a Ray cluster, here one of this machine's cores.

    python examples/on_ray.py [FOLDER] [ADDRESS]

Needs widthwise[ray]. ADDRESS is a cluster's, as "ray://head:10001"; without it one is started and ended here.
"""

import sys
from pathlib import Path

import widthwise as ww

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "widths")
address = sys.argv[2] if len(sys.argv) > 2 else "local"
config = {
    "model": "jsc-three-linear",
    "dataset": "jsc",
    "search": {
        "search_space": {
            "name": "graph/width",
            "setup": {"by": "all"},
            "seed": {"all": {"config": {"channel_multiplier": [1, 2, 3, 4]}}},
        },
        "training": {"epochs": 5},
        "strategy": {
            "name": "grid",
            "metrics": {"accuracy": {"direction": "maximize"}, "parameters": {"direction": "minimize"}},
        },
    },
}
study = ww.search(None, None, config, out=folder / "run", ray=address)
for trial in study.trials:
    print(dict(trial.config), round(trial.metrics["accuracy"], 3))
