"""A CSV file of one's own, a number to predict: which widths keep the error within five per cent of float's.

python examples/regression_from_csv.py [FOLDER]
"""

import sys
from pathlib import Path

import numpy as np
from torch import nn

import widthwise as ww

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "prices")
folder.mkdir(parents=True, exist_ok=True)
rooms = np.random.default_rng(0).uniform([1, 20, 0], [6, 160, 30], size=(600, 3)).round(1)
price = 900 * rooms[:, 1] + 15_000 * np.sqrt(rooms[:, 0]) - 1_200 * rooms[:, 2]
table = np.column_stack([rooms, price.round()])
np.savetxt(
    folder / "prices.csv", table, delimiter=",", header="rooms,area,distance,price", comments="", fmt="%g"
)

data = ww.load_data(folder / "prices.csv", label="price")
network = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 1))
ww.fit(network, data, epochs=60)
floats = ww.evaluate(network, data)
print({name: round(value, 3) for name, value in floats.items()})

widths = {"data_in_width": [6, 8, 12], "weight_width": [4, 6, 8, 12]}
points = {key.replace("width", "frac_width"): ["auto-mse"] for key in widths}
study = ww.search(
    network,
    data,
    {
        "search": {
            "search_space": {
                "name": "graph/quantize/mixed_precision_ptq",
                "setup": {"by": "type"},
                "seed": {"linear": {"config": {"name": ["integer"], **widths, **points}}},
            },
            "strategy": {
                "name": "brute-force",
                "metrics": {"rmse": {"direction": "minimize"}, "model_size": {"direction": "minimize"}},
            },
        }
    },
    out=folder / "run",
)
best = study.pick(f"best model_size with rmse <= {1.05 * floats['rmse']}")
print(f"trial {best.number}: rmse {best.metrics['rmse']:.0f}, {best.metrics['model_size']:g} bytes")
