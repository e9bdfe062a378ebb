"""A search of widths in a small network, which mixing can gain by: digits, 2 to 8 bits for each tensor."""

from __future__ import annotations

from functools import cache
from typing import Any

from torch import nn

import widthwise as ww

WIDTHS = [2, 3, 4, 5, 6, 7, 8]
TRIALS = 20


def config(strategy: str, **setup: Any) -> dict[str, Any]:
    rule: dict[str, list[Any]] = {"name": ["integer"]}
    for tensor in ("data_in", "weight", "bias"):
        rule |= {f"{tensor}_width": WIDTHS, f"{tensor}_frac_width": ["auto-mse"]}
    return {
        "search": {
            "search_space": {
                "name": "graph/quantize/mixed_precision_ptq",
                "setup": {"by": "type"},
                "seed": {"linear": {"config": rule}},
            },
            "strategy": {
                "name": strategy,
                "setup": {"n_trials": TRIALS, **setup},
                "metrics": {
                    "accuracy": {"direction": "maximize"},
                    "model_size": {"direction": "minimize"},
                },
            },
        }
    }


@cache
def trained() -> tuple[nn.Module, Any]:
    data, model = ww.load_data("digits", seed=0), ww.load_model("digits-mlp", seed=0)
    ww.fit(model, data, epochs=6, learning_rate=1e-2)
    return model, data
