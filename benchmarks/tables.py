"""The public tables: made, checked against the network, and strategies compared on them.

    python benchmarks/tables.py make [--tables jets,digits-cnn] [--out FOLDER]
    python benchmarks/tables.py compare [--tables …] [--objectives accuracy,luts] [--strategies NAME,…]
                                        [--seeds 10] [--budget 600] [--picture docs/pictures/tables.svg]

make: every scheme of the space by accuracy, loss, model size, bit operations and LUTs, into a parquet file
that holds the network's weights too; prints rows, time and size, and whether the file of the package says the
same. The weights are those of the package's table where there is one, so that it can be
made again anywhere; else those of the data folder beside the repository (jets), or trained here. LUTs need
the extra `fpga`.
compare: evaluations that each strategy needs to a share of the exact front's hypervolume.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

import widthwise as ww
from tasks import networks
from tasks.searches import widths
from widthwise.evaluators.tabled.reading import FOLDER
from widthwise.metrics.catalogue import find_metric
from widthwise.network.passes.fold import fold_batchnorm_transform_pass

METRICS = ("accuracy", "loss", "model_size", "bops", "ebops", "luts")
POINTS = {f"{tensor}_frac_width": ["auto"] for tensor in ("data_in", "weight", "bias")}
BY = "benchmarks/tables.py of widthwise"


@dataclass(frozen=True)
class Recipe:
    """What a table is of. network: the trained one, with the data that it is judged on."""

    title: str
    network: Callable[[], tuple[Any, Any]]
    by: str
    seed: Mapping[str, Any]
    about: Mapping[str, Any]
    fold: bool = False


def rule(data_in: list[int], weight: list[int], bias: list[int]) -> dict[str, Any]:
    """Fixed point of these widths, the point where the values need it."""
    made: dict[str, Any] = widths(data_in, weight, bias)
    return {"config": made["config"] | POINTS}


RECIPES = {
    "jets": Recipe(
        "every scheme of the hls4ml tutorial's jet tagger (16-64-32-32-5)",
        networks.jets_mlp,
        "type",
        {"linear": rule([4, 8], [2, 4, 8], [2, 4, 8])},
        {
            "model": "jsc-mlp",
            "weights": {
                "origin": "trained by others on 664,000 jets: jmduarte/iaifi-summer-school",
                "licence": "Apache-2.0",
            },
            "data": {
                "dataset": "jsc",
                "origin": "hls4ml LHC jet data set, doi 10.5281/zenodo.3602260",
                "licence": "CC BY 4.0",
                "samples": 1024,
                "judged_on": "all 1,024 jets, scaled by the statistics of the full training split",
            },
        },
    ),
    "digits-cnn": Recipe(
        "every scheme of a CNN of two convolutions and a linear layer on handwritten digits",
        lambda: networks.trained("digits-cnn", "digits"),
        "name",
        {
            layer: rule([2, 4, 5, 6, 8], [2, 3, 4, 6, 8], [8])
            for layer in ("seq_blocks_0", "seq_blocks_4", "seq_blocks_9")
        },
        {
            "model": "digits-cnn",
            "weights": {
                "origin": "trained for this table: 30 epochs, learning rate 1e-2, seed 0",
                "licence": "Apache-2.0",
            },
            "data": {
                "dataset": "digits",
                "origin": "UCI, Optical Recognition of Handwritten Digits, as scikit-learn has it",
                "licence": "CC BY 4.0",
                "samples": 362,
                "judged_on": "the validation part of seed 0",
            },
        },
        fold=True,
    ),
}


def make(name: str, folder: Path) -> None:
    """Evaluates all of a recipe's space, writes the table, and tells how it compares with the package's."""
    recipe, began = RECIPES[name], time.perf_counter()
    table, figures, logic = made(name, recipe)
    path = ww.write_table(table, folder / f"{name}.parquet")
    size, total = path.stat().st_size, time.perf_counter() - began
    print(
        f"{name}: {len(table):,} rows, {len(table.columns)} metrics in {total:.0f} s ({figures:.0f} s of "
        f"judging, {logic:.0f} s of estimating LUTs), {path} {size:,} bytes, {size / len(table):.1f} a row"
    )
    if not shipped_file(name).exists():
        return
    shipped = ww.load_table(name)
    for metric in table.columns:
        equal = np.mean(table[metric] == shipped[metric])
        apart = np.nanmax(np.abs(table[metric] - shipped[metric]))
        print(f"  {metric:<11} {equal:.2%} of the rows as in the package, at most {apart:.3g} apart")


def shipped_file(name: str) -> Path:
    """Where the package has it."""
    return FOLDER / f"{name}.parquet"


def again(name: str) -> tuple[Any, Any]:
    """The network of the package's table, and the data that it was judged on."""
    table = ww.load_table(name)
    model = ww.load_model(table.about["model"])
    model.load_state_dict({tensor: torch.from_numpy(array) for tensor, array in table.weights.items()})
    return model.eval(), networks.whole_jets() if name == "jets" else ww.load_data("digits", seed=0)


def made(name: str, recipe: Recipe) -> tuple[ww.SearchTable, float, float]:
    """The table, and the seconds of judging and of estimating logic."""
    model, data = recipe.network() if not shipped_file(name).exists() else again(name)
    graph = ww.Graph(model)
    if recipe.fold:
        graph, _ = fold_batchnorm_transform_pass(graph, {})
    space = ww.QuantisationSpace(graph, by=recipe.by, seed=recipe.seed)
    began = time.perf_counter()
    judge = ww.Evaluator(graph, space, data, metrics=[each for each in METRICS if each != "luts"])
    parts = [judge(batch) for batch in space.enumerate()]
    values: dict[str, NDArray[Any]] = {
        metric: np.concatenate([part[metric] for part in parts]) for metric in judge.columns
    }
    values["loss"] = values["loss"].astype(np.float32).astype(np.float64)  # four bytes a row; 7 digits
    figures = time.perf_counter() - began
    logic = ww.Evaluator(graph, space, data, metrics=["luts"])
    luts = logic.costs(space.at(range(space.size)))["luts"]
    values["luts"] = np.round(luts, 2)  # sums of hundredths, without what adding them up leaves
    about = {
        "title": recipe.title,
        **recipe.about,
        "space": {"by": recipe.by, "fold_batchnorm": recipe.fold, "seed": recipe.seed},
        "made": {
            "by": BY,
            "widthwise": ww.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "licence": "CC BY 4.0",
    }
    table = ww.SearchTable(
        name,
        space.decisions,
        {metric: values[metric] for metric in METRICS if metric in values},
        {metric: find_metric(metric) for metric in METRICS if metric in values},
        about,
        {tensor: array.numpy() for tensor, array in model.state_dict().items()},
    )
    return table, figures, time.perf_counter() - began - figures


def compare(given: argparse.Namespace) -> None:
    """Prints evaluations to 90, 95 and 99 % of the front, and draws the shares."""
    found = {}
    for name in given.tables.split(","):
        table = ww.load_table(name)
        for objectives in given.objectives:
            began = time.perf_counter()
            compared = ww.compare(
                table,
                given.strategies,
                objectives=objectives.split(","),
                seeds=given.seeds,
                budget=given.budget,
            )
            found[f"{name}: {objectives.replace(',', ', ')}"] = compared
            print(
                f"\n{name}: {objectives}, {len(table):,} candidates, front of {compared.front}, "
                f"{given.seeds} seeds, {given.budget} evaluations, {time.perf_counter() - began:.0f} s"
            )
            print_reached(compared)
    if given.picture is not None:
        draw(found, given.picture)


def print_reached(compared: Any) -> None:
    """A row a strategy: evaluations to each level, the share at the end, and what thinking takes."""
    print(f"  {'':<13}{'to 90 %':>15}{'to 95 %':>15}{'to 99 %':>18}{'at the end':>12}{'ms each':>9}")
    for outcome in compared.outcomes:
        cells = [spread(outcome.to_reach(level), compared.budget) for level in (0.9, 0.95, 0.99)]
        own = 1000 * np.median(outcome.own_seconds[:, -1]) / compared.budget
        print(
            f"  {outcome.label:<13}{cells[0]:>15}{cells[1]:>15}{cells[2]:>18}"
            f"{np.median(outcome.final):>12.4f}{own:>9.2f}"
        )


def spread(reached: NDArray[Any], budget: int) -> str:
    """Median (lower to upper quartile) of evaluations; what never came is more than the budget."""
    ordered = np.sort(np.where(np.isnan(reached), np.inf, reached))
    low, middle, high = (ordered[round(place * (len(ordered) - 1))] for place in (0.25, 0.5, 0.75))
    words = [f">{budget}" if np.isinf(each) else f"{each:.0f}" for each in (low, middle, high)]
    return words[1] if len(set(words)) == 1 else f"{words[1]} ({words[0]}-{words[2]})"


def draw(found: Mapping[str, Any], path: Path) -> None:
    """What lacks to the whole front, median of the seeds, after so many evaluations."""
    figure = Figure(figsize=(4.2 * len(found), 3.8), layout="constrained")
    axes = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for place, (title, compared) in zip(axes, found.items(), strict=True):
        for outcome in compared.outcomes:
            low, middle, high = 1 - np.quantile(outcome.share, [0.75, 0.5, 0.25], axis=0)
            steps = np.arange(1, len(middle) + 1)
            (line,) = place.plot(steps, middle, label=outcome.label)
            place.fill_between(steps, low, high, alpha=0.15, color=line.get_color())
        place.axhline(0.01, linewidth=0.8, linestyle=":", color="grey")
        place.set(title=title, xlabel="evaluations", yscale="log", ylim=(1e-4, 1), xscale="log")
    axes[0].set_ylabel("share of the front's hypervolume that lacks")
    axes[0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    print(f"wrote {path}")


def main() -> None:
    """One of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("make", "compare"))
    parser.add_argument("--tables", default=",".join(RECIPES))
    parser.add_argument("--out", type=Path, default=Path("tables"))
    parser.add_argument("--objectives", action="append", help="repeatable")
    parser.add_argument("--strategies", default="random,nsga2,tpe,local,frontier")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budget", type=int, default=600)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    given.objectives = given.objectives or ["accuracy,model_size"]
    torch.set_num_threads(1)
    if given.what == "compare":
        compare(given)
        return
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.tables.split(","):
        make(name, given.out)


if __name__ == "__main__":
    main()
