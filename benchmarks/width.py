"""Figures of the search for widths: `python benchmarks/width.py [--quick] [grid] [supernet] [inherit]`.

grid      the lab's multipliers [1, 2, 3, 4] on jsc-three-linear, trained with 5 seeds each.
supernet  125 widths of jsc-mlp's layers on the digits, read off one supernet, and 30 of them from scratch.
inherit   20 random widths of digits-cnn, inherited and tuned for a fifth of the epochs, and from scratch.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from scipy.stats import kendalltau
from torch import Tensor, nn

from widthwise.data.modules import load_data
from widthwise.evaluators.trained import WidthEvaluator
from widthwise.metrics.spread import within_noise
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.network.widths.resize import resized
from widthwise.spaces.width import WidthSpace
from widthwise.training import Settings, train


class DigitsMLP(nn.Module):
    """The layers of jsc-mlp, 64-32-32, for the 64 pixels and 10 classes of the digits."""

    def __init__(self) -> None:
        super().__init__()
        self.layer0 = nn.Linear(64, 64)
        self.layer1 = nn.Linear(64, 32)
        self.layer2 = nn.Linear(32, 32)
        self.layer3 = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores [n, 10] of flat digits x [n, 64]."""
        x = torch.relu(self.layer0(x))
        x = torch.relu(self.layer1(x))
        scores: Tensor = self.layer3(torch.relu(self.layer2(x)))
        return scores


def grid(*, quick: bool) -> None:
    """The report's grid, really trained."""
    repeats = 2 if quick else 5
    graph = Graph(load_model("jsc-three-linear"))
    space = WidthSpace(graph, by="all", multipliers=[1, 2, 3, 4])
    start = time.perf_counter()
    metrics = ["accuracy", "parameters", "macs"]
    settings = Settings(epochs=20 if quick else 100)
    evaluate = WidthEvaluator(
        graph, space, load_data("jsc"), metrics=metrics, settings=settings, repeats=repeats
    )
    found = evaluate(next(space.enumerate()))
    seconds = time.perf_counter() - start
    print(f"grid: jsc-three-linear on jsc, {settings.epochs} epochs, {repeats} seeds, validation accuracy")
    print("multiplier  accuracy         parameters    MACs")
    for row, multiplier in enumerate(space.decisions[0].choices):
        mean, spread = found["accuracy"][row], found["accuracy_spread"][row]
        print(
            f"{multiplier:10}  {mean:.3f} +- {spread:.3f}  {found['parameters'][row]:10,.0f} "
            f"{found['macs'][row]:7,.0f}"
        )
    close = within_noise(found["accuracy"], found["accuracy_spread"], repeats)
    pairs = [(a + 1, b + 1) for a in range(4) for b in range(a + 1, 4) if close[a, b]]
    print(f"within noise: {pairs or 'none'}; {seconds:.1f} s in all\n")


def supernet(*, quick: bool) -> None:
    """One supernet for 125 widths against training each."""
    data = load_data("digits", flatten=True, splits=(0.5, 0.4, 0.1))
    torch.manual_seed(0)
    graph = Graph(DigitsMLP())
    space = WidthSpace(graph, multipliers=[1 / 16, 1 / 8, 1 / 4, 1 / 2, 1])
    settings = Settings(epochs=10 if quick else 50, learning_rate=1e-2)
    start = time.perf_counter()
    train(resized(graph.model, space.groups, {}, weights="scratch"), data, settings)
    one = time.perf_counter() - start
    start = time.perf_counter()
    candidates = next(space.enumerate())
    evaluate = WidthEvaluator(graph, space, data, metrics=["accuracy"], mode="supernet", settings=settings)
    read_off = evaluate(candidates)["accuracy"]
    seconds = time.perf_counter() - start
    rows = np.random.default_rng(1).choice(space.size, 6 if quick else 30, replace=False)
    repeats = 1 if quick else 3
    judge = WidthEvaluator(graph, space, data, metrics=["accuracy"], settings=settings, repeats=repeats)
    scratch = judge(candidates[rows])["accuracy"]
    print(f"supernet: 64-32-32 on digits, {settings.epochs} epochs, {space.size} widths")
    print("width        supernet  scratch")
    for row, accuracy in sorted(zip(rows.tolist(), scratch.tolist(), strict=True), key=lambda pair: pair[1]):
        width = "-".join(str(size) for size in space.sizes(candidates[row]).values())
        print(f"{width:11}  {read_off[row]:8.3f}  {accuracy:7.3f}")
    tau = kendalltau(read_off[rows], scratch).statistic
    print(scatter(read_off[rows], scratch))
    print(
        f"{seconds:.2f} s for all widths, {one:.2f} s for one training of the largest: "
        f"{seconds / one:.1f} times; Kendall's tau with {len(rows)} trained from scratch ({repeats} "
        f"seeds): {tau:.2f}\n"
    )


def inherit(*, quick: bool) -> None:
    """Inheriting and a fifth of the epochs against from scratch, on the test split."""
    data = load_data("digits", batch_size=64, splits=(0.5, 0.2, 0.3))
    full = Settings(epochs=10 if quick else 50, learning_rate=1e-2)
    model = load_model("digits-cnn")
    train(model, data, full)
    graph = Graph(model)
    space = WidthSpace(graph, multipliers=[0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1, 1.25, 1.5, 2])
    count = 4 if quick else 20
    rows = space.at(np.random.default_rng(0).choice(space.size, count, replace=False).tolist())
    options = {"metrics": ["accuracy"], "loader": "test"}
    start = time.perf_counter()
    scratch = WidthEvaluator(graph, space, data, settings=full, **options)(rows)["accuracy"]
    middle = time.perf_counter()
    fifth = Settings(epochs=full.epochs // 5, learning_rate=2e-2, distil=0.5)
    evaluate = WidthEvaluator(
        graph, space, data, mode="inherit", importance="batch_norm", settings=fifth, **options
    )
    inherited = evaluate(rows)["accuracy"]
    end = time.perf_counter()
    print(f"inherit: digits-cnn, {full.epochs} epochs from scratch, {fifth.epochs} inherited, test accuracy")
    print("width    scratch  inherited  difference")
    for candidate, first, second in zip(rows, scratch, inherited, strict=True):
        width = "-".join(str(size) for size in space.sizes(candidate).values())
        print(f"{width:7}  {first:7.3f}  {second:9.3f}  {second - first:+10.3f}")
    share = (inherited >= scratch - 0.005).mean()
    print(
        f"within 0.5 points or better: {share:.0%} of {count}; {middle - start:.1f} s from scratch, "
        f"{end - middle:.1f} s inherited\n"
    )


def scatter(x: np.ndarray, y: np.ndarray, *, width: int = 48, height: int = 14) -> str:
    """Points (x, y) as characters, each axis from the smallest to the largest value; digits count points."""
    board = np.zeros((height, width), dtype=int)
    columns = ((x - x.min()) / max(np.ptp(x), 1e-9) * (width - 1)).round().astype(int)
    lines = ((y.max() - y) / max(np.ptp(y), 1e-9) * (height - 1)).round().astype(int)
    np.add.at(board, (lines, columns), 1)
    drawn = ["".join("." if n == 0 else str(min(n, 9)) for n in line) for line in board]
    return "\n".join(
        [
            f"scratch {y.min():.2f} to {y.max():.2f} upwards",
            *drawn,
            f"supernet {x.min():.2f} to {x.max():.2f}",
        ]
    )


FIGURES = {"grid": grid, "supernet": supernet, "inherit": inherit}


def main() -> None:
    """Prints the figures that were asked for."""
    parser = argparse.ArgumentParser(description="Figures of the search for widths.")
    parser.add_argument("figures", nargs="*", choices=[[], *FIGURES], help="which; by default all")
    parser.add_argument("--quick", action="store_true", help="smaller runs, to see that everything works")
    chosen = parser.parse_args()
    for name in chosen.figures or FIGURES:
        FIGURES[name](quick=chosen.quick)


if __name__ == "__main__":
    main()
