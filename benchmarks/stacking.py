"""What training 16 candidates of other widths at once brings, beside one after another.

python benchmarks/stacking.py [--threads 2] [--candidates 16] [--epochs 100] [--networks jsc-three-linear,...]

For each network 16 candidates, drawn from multipliers of all its groups, are trained from scratch and judged
as in a search: alone, and with `stacked`. `ratio` is the time of the first over the second, by the clock, in
the better of two runs in turns; `apart` is the greatest difference of their validation losses, relative.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import torch

import widthwise as ww
from widthwise.training import Settings

NETWORKS = {
    "jsc-three-linear": ("jsc", [1, 2, 3, 4]),
    "jsc-mlp": ("jsc", [0.25, 0.5, 0.75, 1]),
    "digits-mlp": ("digits", [0.25, 0.5, 0.75, 1]),
    "digits-cnn": ("digits", [0.25, 0.5, 0.75, 1]),
}


def compared(name: str, candidates: int, epochs: int) -> dict[str, object]:
    """The seconds of both, and how far what they lead to is apart."""
    source, multipliers = NETWORKS[name]
    data, graph = ww.load_data(source), ww.Graph(ww.load_model(name))
    space = ww.WidthSpace(graph, multipliers=multipliers, example=data)
    drawn = space.sample(min(candidates, space.size), np.random.default_rng(0))
    settings = Settings(epochs=epochs)
    best: dict[str, float] = {}
    losses = {}
    ways = {
        way: ww.WidthEvaluator(
            graph, space, data, metrics=["loss"], settings=settings, stacked=way == "stacked"
        )
        for way in ("alone", "stacked")
    }
    for _ in range(2):
        for way, evaluator in ways.items():
            began = time.perf_counter()
            losses[way] = evaluator(drawn)["loss"]
            best[way] = min(best.get(way, np.inf), time.perf_counter() - began)
    apart = np.abs(losses["stacked"] / losses["alone"] - 1).max()
    return {
        "network": name,
        "candidates": len(drawn),
        "seconds": {way: round(seconds, 2) for way, seconds in best.items()},
        "ratio": round(best["alone"] / best["stacked"], 2),
        "apart": float(f"{apart:.1e}"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    for name in asked.networks.split(","):
        print(json.dumps(compared(name, asked.candidates, asked.epochs)), flush=True)


if __name__ == "__main__":
    main()
