"""Trained widths: LUTs at equal accuracy on the jets network, and against post-training fronts elsewhere.

python benchmarks/training.py [--parts jets,others,joint,rtl,hgq2] [--splits 5] [--steps 16000] [--most 3000]

jets: the hls4ml tutorial's network (16-64-32-32-5, trained by others on all jets). Of each split of the 1,024
    jets (60 % train, 20 % validation, 20 % test) widths are trained on the training part alone; of the
    checkpoints with at most 1,000 and 700 LUTs those with the best validation accuracy and with the least
    validation loss are taken, and their test accuracies told beside that of the float network, with its
    standard error. LUTs are alkaid's estimate of the whole network; only members of the front with at most
    --most ebops are estimated, which takes seconds each.
    The weights come from the data folder beside the repository (or WIDTHWISE_SHARED).
others: the same settings on networks trained here: ebops of the post-training front (300 schemes of 2 to 8
    bits a tensor, found by frontier) over those of the trained one, at the same validation quality.
joint: bits and channels in one search against each alone and one after the other (joint.py); --splits seeds.
rtl: every member of one front of the jets network as Verilog, run by Verilator; three by Yosys (to_rtl.py).
hgq2: HGQ2 beside it on the jets network, the same samples, steps and prices (beside_hgq2.py).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import widthwise as ww
from beside_hgq2 import beside
from joint import joint
from tasks.networks import jets_mlp
from to_rtl import to_rtl
from widthwise import training
from widthwise.data.facts import part
from widthwise.data.modules import Data, load_data
from widthwise.export.integers.reading import program_of
from widthwise.export.rtl.logic import logic_of
from widthwise.study.study import Study

AIMS = {1000: 1.0, 700: 2.0}  # LUTs, and within how many standard errors of float


def config(
    settings: dict[str, Any], quality: str = "accuracy", direction: str = "maximize"
) -> dict[str, Any]:
    """A search that trains widths."""
    return {
        "search": {
            "search_space": {"name": "graph/quantize/trained_widths"},
            "training": settings,
            "strategy": {
                "name": "gradient",
                "metrics": {quality: {"direction": direction}, "ebops": {"direction": "minimize"}},
            },
        }
    }


def jets(splits: int, settings: dict[str, Any], most: float) -> None:
    """LUTs at the accuracy of the float network."""
    model, _ = jets_mlp()
    for seed in range(splits):
        data = load_data("jsc", seed=seed, standardise="reference")
        began, processor = time.monotonic(), time.process_time()
        with TemporaryDirectory() as place:
            study = ww.search(model, data, {**config(settings), "seed": seed}, out=Path(place) / "run")
            took = time.monotonic() - began, time.process_time() - processor
            floats = accuracy(model, data, "test")
            error = (floats * (1 - floats) / len(part_of(data, "test")[1])) ** 0.5
            found = curve(study, data, model, most)
        said = {"split": seed, "float_test": round(floats, 4), "standard_error": round(error, 4)}
        said |= {"seconds": round(took[0]), "processor": round(took[1])}
        for luts, errors in AIMS.items():
            small = [row for row in found if row["luts"] <= luts]
            for by, best in chosen(small).items():
                said[f"<= {luts} by {by}"] = {"within": best["test"] >= floats - errors * error, **best}
        print(json.dumps(said), flush=True)
        print(json.dumps(found), flush=True)


def chosen(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The best of them by each validation figure."""
    if not rows:
        return {}
    by_accuracy = max(rows, key=lambda row: (row["val"], -row["luts"]))
    return {"accuracy": by_accuracy, "loss": min(rows, key=lambda row: row["val_loss"])}


def curve(study: Study, data: Data, model: nn.Module, most: float) -> list[dict[str, Any]]:
    """Of each checkpoint with few ebops: LUTs, and accuracy on validation and test samples."""
    found = []
    for trial in study.trials:
        ebops = trial.hardware_metrics.get("ebops", np.nan)
        if trial.reason is not None or not ebops <= most:
            continue
        try:
            graph = study.network(trial.number, model=model)
        except ww.UserError:  # not on the front
            continue
        x = part_of(data, "val")[0]
        luts = float(logic_of(program_of(graph, x[:2])).cost)
        scores = {name: round(accuracy(graph.model, data, name), 4) for name in ("val", "test")}
        with torch.no_grad():
            loss = float(cross_entropy(graph.model(x), part_of(data, "val")[1]))
        scores["val_loss"] = round(loss, 4)
        found.append({"trial": trial.number, "ebops": int(ebops), "luts": round(luts), **scores})
    return found


def part_of(data: Data, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """All samples of a part."""
    xs, ys = zip(*((x, y) for x, y in part(data, name)), strict=True)
    return torch.cat(xs), torch.cat(ys)


def accuracy(model: nn.Module, data: Data, name: str) -> float:
    """On a part of the data."""
    x, y = part_of(data, name)
    with torch.no_grad():
        return float((model(x).argmax(1) == y).float().mean())


def others(settings: dict[str, Any]) -> None:
    """The ratio of ebops to those of the post-training front, at equal quality."""
    tumours = nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 2))
    cases: Sequence[tuple[str, nn.Module, str, str, str]] = (
        ("digits-mlp", ww.load_model("digits-mlp"), "digits", "accuracy", "maximize"),
        ("digits-cnn", ww.load_model("digits-cnn"), "digits", "accuracy", "maximize"),
        ("30-32-16-2", tumours, "breast-cancer", "accuracy", "maximize"),
        ("diabetes-mlp", ww.load_model("diabetes-mlp"), "diabetes", "mse", "minimize"),
    )
    for name, model, source, quality, direction in cases:
        data = load_data(source, seed=0)
        training.fit(model, data, epochs=40, learning_rate=5e-3, seed=0)
        kinds = ["linear", "conv2d"] if "cnn" in name else ["linear"]
        began = time.process_time()
        with TemporaryDirectory() as place:
            trained = ww.search(model, data, config(settings, quality, direction), out=Path(place) / "a")
            took = time.process_time() - began
            after = ww.search(model, data, post_training(quality, direction, kinds), out=Path(place) / "b")
        sign = 1 if direction == "maximize" else -1
        own, given = points(trained, quality, sign), points(after, quality, sign)
        ratios = []
        for value, ebops in given:
            reached = [cost for q, cost in own if q >= value]
            ratios.append((sign * value, ebops, ebops / min(reached) if reached else 0.0))
        floats = trained.record.settings.float_metrics[quality]
        said = {"network": name, "float": round(floats, 4), "processor": round(took), "quality": quality}
        print(json.dumps({**said, "median": round(float(np.median([r for *_, r in ratios])), 2)}), flush=True)
        print("  ", [(round(q, 4), int(cost), round(ratio, 1)) for q, cost, ratio in ratios], flush=True)


def post_training(quality: str, direction: str, kinds: Sequence[str]) -> dict[str, Any]:
    """300 schemes, found by frontier."""
    widths = {f"{tensor}_width": list(range(2, 9)) for tensor in ("data_in", "weight")}
    fractions = {f"{tensor}_frac_width": ["auto"] for tensor in ("data_in", "weight", "bias")}
    rule = {"config": {"name": ["integer"], **widths, **fractions, "bias_width": [8]}}
    space = {"name": "graph/quantize/mixed_precision_ptq", "setup": {"by": "type", "fold_batchnorm": True}}
    return {
        "search": {
            "search_space": {**space, "seed": dict.fromkeys(kinds, rule)},
            "strategy": {
                "name": "frontier",
                "metrics": {quality: {"direction": direction}, "ebops": {"direction": "minimize"}},
            },
            "constraints": {"trials": 300},
        }
    }


def points(study: Study, quality: str, sign: int) -> list[tuple[float, float]]:
    """(quality, greater is better, ebops) of the front."""
    metrics = [{**trial.software_metrics, **trial.hardware_metrics} for trial in study.front]
    return [(sign * found[quality], found["ebops"]) for found in metrics]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", default="jets,others")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--steps", type=int, default=16_000)
    parser.add_argument("--most", type=float, default=3000)
    parser.add_argument("--checkpoints", type=int, default=40)
    parser.add_argument("--hgq2", default=sys.executable, metavar="PYTHON")
    asked = parser.parse_args()
    settings = {"steps": asked.steps, "checkpoints": asked.checkpoints}
    if "jets" in asked.parts:
        jets(asked.splits, settings, asked.most)
    if "others" in asked.parts:
        others(settings)
    if "joint" in asked.parts:
        joint(asked.splits)
    if "rtl" in asked.parts:
        to_rtl(config(settings))
    if "hgq2" in asked.parts:
        beside(asked.splits, asked.steps, asked.hgq2)


if __name__ == "__main__":
    main()
