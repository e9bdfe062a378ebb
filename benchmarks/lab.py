"""The figures of docs/lab3.md and lab4.md: `python benchmarks/lab.py [--quick] [NAMES] [--pictures FOLDER]`.

metrics     whether accuracy, loss and the other metrics order 5,832 schemes alike.
efficiency  brute force, random, TPE and frontier: share of the front after so many evaluations, over seeds.
sample      what accuracy is worth that a few training batches give, and metrics that nobody resets.
untrained   the lab's multipliers without training, over seeds.
widths      a multiplier for each of two layers, 16 networks trained over seeds.
halving     whom it stops of these 16, how sure it was, and what they have when they are trained.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.stats import kendalltau
from torchmetrics.classification import MulticlassAccuracy

import widthwise as ww
from widthwise.evaluators.halving import Halving
from widthwise.metrics.goals.pareto import nondominated
from widthwise.metrics.spread import within_noise
from widthwise.training import Settings

METRICS = ["accuracy", "loss", "precision", "recall", "f1"]
STRATEGIES = "brute-force,random,tpe,frontier"
FORMATS = {
    f"{tensor}_{key}": value
    for tensor, widths in (("data_in", [4, 8]), ("weight", [2, 4, 8]), ("bias", [2, 4, 8]))
    for key, value in (("width", widths), ("frac_width", ["NA"]))
}
SEED = {"linear": {"config": {"name": ["integer"], **FORMATS}}}


def metrics(pictures: Path | None, *, quick: bool) -> None:
    """Kendall's rank correlation between the metrics of all schemes of a trained network."""
    del quick
    data, graph = ww.load_data("jsc"), _trained("jsc-three-linear")
    space = ww.QuantisationSpace(graph, by="type", seed=SEED)
    evaluate = ww.Evaluator(graph, space, data, metrics=[*METRICS, "model_size"])
    found = [evaluate(batch) for batch in space.enumerate()]
    columns = {name: np.concatenate([part[name] for part in found]) for name in (*METRICS, "model_size")}
    columns["loss"] = -columns["loss"]
    print(f"metrics: {space.size:,} schemes of jsc-three-linear, Kendall's tau with accuracy")
    for name, column in columns.items():
        print(f"  {name:<12} {kendalltau(columns['accuracy'], column).statistic:6.2f}")
    wide = columns["accuracy"] >= np.quantile(columns["accuracy"], 0.9)
    tau = kendalltau(columns["accuracy"][wide], columns["loss"][wide]).statistic
    print(f"  among the best tenth by accuracy, loss: {tau:.2f}")
    same = columns["accuracy"] == np.median(columns["accuracy"][wide])
    losses = -columns["loss"][same]
    print(f"  {same.sum()} schemes of one accuracy there: loss {losses.min():.3f} to {losses.max():.3f}")
    floats = ww.evaluate(graph, data, metrics=["accuracy", "loss"])
    print(f"  float: accuracy {floats['accuracy']:.3f}, loss {floats['loss']:.3f}")
    if pictures is not None:
        _scatter(columns, columns["model_size"], pictures / "lab3-accuracy-loss.svg")


def efficiency(pictures: Path | None, *, quick: bool) -> None:
    """Share of the front's hypervolume after so many evaluations, median of the seeds."""
    curves = {}
    for model, budget in (("jsc-tiny", 18), ("jsc-three-linear", 300)):
        graph = _trained(model)
        ww.save_checkpoint(graph.model, f"{model}.safetensors")
        config = {
            "model": model,
            "dataset": "jsc",
            "load_name": f"{model}.safetensors",
            "search": {
                "search_space": {
                    "name": "graph/quantize/mixed_precision_ptq",
                    "setup": {"by": "type"},
                    "seed": {"default": {"config": {"name": ["NA"]}}, **SEED},
                },
                "strategy": {
                    "name": "random",
                    "metrics": {
                        "accuracy": {"direction": "maximize"},
                        "average_bitwidth": {"direction": "minimize"},
                    },
                },
            },
        }
        seeds = 5 if quick else 20
        found = ww.compare(config, STRATEGIES, seeds=seeds, budget=budget, batch=1, most_enumerated=10_000)
        curves[model] = found
        print(f"efficiency: {model}, {seeds} seeds, share of the front after so many evaluations (quartiles)")
        marks = [n for n in (6, 12, 18, 50, 100, 300) if n <= budget]
        print("  " + " " * 12 + "".join(f"{n:>20}" for n in marks))
        for outcome in found.outcomes:
            low, middle, high = np.quantile(outcome.share, [0.25, 0.5, 0.75], axis=0)
            cells = [f"{middle[n - 1]:.2f} ({low[n - 1]:.2f}-{high[n - 1]:.2f})" for n in marks]
            print(f"  {outcome.entrant.name:<12}" + "".join(f"{cell:>20}" for cell in cells))
    if pictures is not None:
        _curves(curves, pictures / "lab3-efficiency.svg")


def sample(pictures: Path | None, *, quick: bool) -> None:
    """The lab's estimate of accuracy, from six batches of eight training jets, drawn again and again."""
    del pictures
    data, graph = ww.load_data("jsc", batch_size=8), _trained("jsc-three-linear")
    exact = ww.evaluate(graph, data, metrics=["accuracy"])["accuracy"]
    draws, error = 100 if quick else 1000, ww.standard_errors(graph, data, metrics=["accuracy"])["accuracy"]
    model, kept, estimates, carried = graph.model.eval(), MulticlassAccuracy(num_classes=5), [], []
    generator = torch.Generator().manual_seed(0)
    x = torch.cat([x for x, _ in data.train_dataloader()])
    y = torch.cat([y for _, y in data.train_dataloader()])
    with torch.no_grad():
        right = (model(x).argmax(1) == y).float()
    for _ in range(draws):
        rows = torch.randperm(len(x), generator=generator)[:48]
        estimates.append(right[rows].mean().item())
        with torch.no_grad():
            kept.update(model(x[rows]), y[rows])
        carried.append(kept.compute().item())
    print("sample: accuracy of one network, float jsc-three-linear")
    print(f"  all 205 validation jets: {exact:.3f}, standard error {error:.3f}")
    low, high = np.quantile(estimates, [0.05, 0.95])
    print(
        f"  48 training jets, {draws} draws: mean {np.mean(estimates):.3f}, 90 % in {low:.3f} to {high:.3f}"
    )
    apart = np.abs(np.diff(estimates))
    print(f"  two such figures of the same network differ by {np.median(apart):.3f} (median)")
    print(
        f"  a metric that nobody resets, after 1, 10, {draws} candidates: "
        f"{carried[0]:.3f}, {carried[9]:.3f}, {carried[-1]:.3f} (macro average)"
    )


def untrained(pictures: Path | None, *, quick: bool) -> None:
    """Accuracies of the lab's four multipliers with random weights; one in five is chance."""
    del pictures
    data, seeds = ww.load_data("jsc"), 5 if quick else 20
    print(f"untrained: validation accuracy of jsc-three-linear with random weights, {seeds} seeds")
    best = []
    for multiplier in (1, 2, 3, 4):
        found = [_accuracy(_wide(multiplier, seed), data) for seed in range(seeds)]
        best.append(found)
        print(f"  x{multiplier}: mean {np.mean(found):.3f}, from {min(found):.3f} to {max(found):.3f}")
    winners = np.argmax(best, axis=0) + 1
    print(
        "  the best multiplier by seed: "
        + ", ".join(f"x{m} {np.sum(winners == m)} times" for m in (1, 2, 3, 4))
    )


def widths(pictures: Path | None, *, quick: bool) -> None:
    """All pairs of multipliers of the two hidden layers, trained."""
    repeats, settings = (2, Settings(epochs=20)) if quick else (5, Settings(epochs=100))
    graph, data = ww.Graph("jsc-three-linear"), ww.load_data("jsc")
    space = ww.WidthSpace(graph, multipliers=[1, 2, 3, 4])
    evaluate = ww.WidthEvaluator(
        graph, space, data, metrics=["accuracy", "parameters"], settings=settings, repeats=repeats
    )
    candidates = next(space.enumerate())
    found = evaluate(candidates)
    close = within_noise(found["accuracy"], found["accuracy_spread"], repeats)
    best = int(np.argmax(found["accuracy"]))
    print(f"widths: 16 - a - b - 5, {settings.epochs} epochs, {repeats} seeds, validation accuracy")
    for row, candidate in enumerate(candidates):
        first, second = space.sizes(candidate).values()
        mark = "  best" if row == best else "  no different" if close[row, best] else ""
        print(
            f"  16-{first}-{second}-5".ljust(14)
            + f"{found['accuracy'][row]:.3f} +- {found['accuracy_spread'][row]:.3f}"
            + f"{found['parameters'][row]:8,.0f}{mark}"
        )
    if pictures is not None:
        _heat(candidates, found, pictures / "lab4-widths.svg")


def halving(pictures: Path | None, *, quick: bool) -> None:
    """Whom halving stops of the 16 networks, what was told of each, and what each has with all epochs."""
    del pictures, quick
    graph, data = ww.Graph("jsc-three-linear"), ww.load_data("jsc")
    space = ww.WidthSpace(graph, multipliers=[1, 2, 3, 4])
    how: dict[str, Any] = {"metrics": ["accuracy", "macs"], "settings": Settings(epochs=27)}
    candidates = next(space.enumerate())
    logging.getLogger("widthwise").setLevel(logging.ERROR)  # what is warned of is told of each below
    halved = ww.WidthEvaluator(graph, space, data, halving=Halving(3), **how)(candidates)
    whole = ww.WidthEvaluator(graph, space, data, **how)(candidates)
    front = nondominated(np.stack([whole["accuracy"], -whole["macs"]], axis=1))
    print("halving: 16 - a - b - 5, a third goes on after 1, 3 and 9 of 27 epochs, 1 seed")
    print("   a  b    macs  all epochs           stopped")
    for row, (first, second) in enumerate(candidates + 1):
        mark = "front" if front[row] else ""
        told = halved.halted.get(row, "went on to the end")
        figures = f"{whole['macs'][row]:8,.0f}  {whole['accuracy'][row]:.3f} {mark:<5}"
        print(f"  x{first} x{second}{figures}         {told}")


def _trained(name: str) -> ww.Graph:
    network = ww.load_model(name, seed=0)
    ww.fit(network, ww.load_data("jsc"), epochs=100, seed=0)
    return ww.Graph(network.eval())


def _wide(multiplier: int, seed: int) -> ww.Graph:
    graph = ww.Graph(ww.load_model("jsc-three-linear", seed=seed))
    space = ww.WidthSpace(graph, by="all", multipliers=[multiplier])
    return ww.resize(graph, space.sizes([0]), weights="scratch", seed=seed)


def _accuracy(graph: ww.Graph, data: Any) -> float:
    return ww.evaluate(graph, data, metrics=["accuracy"])["accuracy"]


def _figure(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, columns)


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    print(f"  wrote {path}")


def _scatter(columns: dict[str, Any], bits: Any, path: Path) -> None:
    figure, axes = _figure(6, 4)
    drawn = axes.scatter(columns["accuracy"], -columns["loss"], s=4, c=bits, cmap="viridis", rasterized=True)
    axes.set(xlabel="accuracy", ylabel="loss", title="5,832 schemes of jsc-three-linear")
    figure.colorbar(drawn, label="model size, bytes")
    _save(figure, path)


def _curves(found: dict[str, Any], path: Path) -> None:
    figure, all_axes = _figure(9, 3.6, columns=2)
    for axes, (model, comparison) in zip(all_axes, found.items(), strict=True):
        for outcome, style in zip(comparison.outcomes, ("-", "--", "-.", ":"), strict=True):
            low, middle, high = np.quantile(outcome.share, [0.25, 0.5, 0.75], axis=0)
            steps = np.arange(1, len(middle) + 1)
            axes.plot(steps, middle, style, label=outcome.entrant.name)
            axes.fill_between(steps, low, high, alpha=0.15)
        axes.set(xlabel="evaluations", ylabel="share of the front", title=model, ylim=(0, 1.02))
    all_axes[0].legend()
    _save(figure, path)


def _heat(candidates: Any, found: Any, path: Path) -> None:
    figure, axes = _figure(4.6, 3.8)
    table = np.full((4, 4), np.nan)
    for row, (first, second) in enumerate(candidates):
        table[first, second] = found["accuracy"][row]
    drawn, middle = axes.imshow(table, cmap="viridis"), np.median(table)
    for (first, second), value in np.ndenumerate(table):
        colour = "black" if value > middle else "white"
        axes.text(second, first, f"{value:.3f}", ha="center", va="center", color=colour)
    sizes = [16 * multiplier for multiplier in (1, 2, 3, 4)]
    axes.set_xticks(range(4), sizes), axes.set_yticks(range(4), sizes)
    axes.set(xlabel="channels of the second layer", ylabel="channels of the first layer")
    figure.colorbar(drawn, label="validation accuracy, mean of the seeds")
    _save(figure, path)


ALL: dict[str, Callable[..., None]] = {
    each.__name__: each for each in (metrics, efficiency, sample, untrained, widths, halving)
}


def main() -> None:
    """Those that are named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[[], *ALL], default=[])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    for name in given.names or ALL:
        ALL[name](given.pictures, quick=given.quick)


if __name__ == "__main__":
    main()
