"""Regression by brute force: every scheme of a network for scikit-learn's diabetes data.

    python benchmarks/regression.py [--repeats 5]

5,832 schemes (three layers with 3 widths of inputs, 3 of weights and 2 of biases each) of a 10-32-16-1
network, judged by mse, rmse, mae and r2 on 89 validation samples; a few of them are compared with the network
itself by scikit-learn. At least 10,000 schemes a second are the goal.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import sklearn.metrics
import torch
from sklearn.datasets import load_diabetes
from torch import Tensor, nn

import widthwise as ww
from widthwise.evaluators.protocol import Results

RULE = {"name": ["integer"], "data_in_width": [4, 6, 8], "weight_width": [3, 4, 8], "bias_width": [4, 8]}
FRACTIONS = {f"{part}_frac_width": ["auto"] for part in ("data_in", "weight", "bias")}
THEIRS = {"mse": "mean_squared_error", "mae": "mean_absolute_error", "r2": "r2_score"}
CHECKED = 50


class Diabetes:
    """442 patients, ten features, standardised by the training part; their progress in units of 100."""

    note = "diabetes"

    def __init__(self) -> None:
        x, y = (torch.from_numpy(array).float() for array in load_diabetes(return_X_y=True))
        rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
        x, y = x[rows], y[rows] / 100
        mean, deviation = x[:265].mean(0), x[:265].std(0)
        self.x, self.y = (x - mean) / deviation, y

    def train_dataloader(self) -> list[tuple[Tensor, Tensor]]:
        return list(zip(self.x[:265].split(64), self.y[:265].split(64), strict=True))

    def val_dataloader(self) -> list[tuple[Tensor, Tensor]]:
        return [(self.x[265:354], self.y[265:354])]

    def test_dataloader(self) -> list[tuple[Tensor, Tensor]]:
        return [(self.x[354:], self.y[354:])]


def main() -> None:
    """Print schemes a second, and the greatest difference from scikit-learn's figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    torch.manual_seed(0)
    data = Diabetes()
    model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1))
    ww.fit(model, data, epochs=40, learning_rate=5e-3)
    graph = ww.Graph(model)
    seed = {name: {"config": RULE | FRACTIONS} for name in ("_0", "_2", "_4")}
    space = ww.QuantisationSpace(graph, by="name", seed=seed)
    candidates = space.at(range(space.size))
    times: dict[str, list[float]] = {"wall time": [], "processor time": []}
    for _ in range(repeats):
        evaluator = ww.Evaluator(graph, space, data, metrics=["mse", "rmse", "mae", "r2"])
        start, start_busy = time.perf_counter(), time.process_time()
        found = evaluator(candidates)
        times["wall time"].append(time.perf_counter() - start)
        times["processor time"].append(time.process_time() - start_busy)
    for said, taken in times.items():
        seconds = statistics.median(taken)
        rate = f"{space.size / seconds:,.0f} a second, at best {space.size / min(taken):,.0f}"
        print(f"{space.size:,} schemes in {seconds:.3f} s of {said}: {rate}")
    print(f"float r2 {ww.evaluate(graph, data, metrics=['r2'])['r2']:.3f}, best {found['r2'].max():.3f}")
    print(f"difference from scikit-learn: at most {difference(evaluator, data, candidates, found):.1e}")


def difference(evaluator: ww.Evaluator, data: Diabetes, candidates: np.ndarray, found: Results) -> float:
    """Of some schemes, from networks made one by one."""
    (x, y) = data.val_dataloader()[0]
    worst = 0.0
    for row in np.random.default_rng(0).choice(len(candidates), CHECKED, replace=False):
        with torch.no_grad():
            outputs = evaluator.network(candidates[row]).model(x)[:, 0].double().numpy()
        for name, theirs in THEIRS.items():
            wanted = getattr(sklearn.metrics, theirs)(y.double().numpy(), outputs)
            worst = max(worst, abs(found[name][row] - wanted) / abs(wanted))
    return worst


if __name__ == "__main__":
    main()
