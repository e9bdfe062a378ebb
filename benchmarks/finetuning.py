"""Fine-tuned fronts against post-training ones: how much of what is missing to the ideal point is won back.

python benchmarks/finetuning.py [--networks digits-mlp,digits-cnn] [--seeds 3] [--trials 100] [--steps 500]
                                [--most 8] [--parts fronts,few]

fronts: of each seed (of the split, the float network and the search) a post-training search of 2 to 4 bits a
    tensor, by frontier; then members of its front are fine-tuned. By accuracy on validation data, at which
    members were chosen, and on test data, that nothing was chosen by: the hypervolume of both fronts over
    ebops on a logarithmic scale, from the dearest member to the cheapest and from no accuracy to float's,
    as shares of the box whose corner is float's accuracy at the cheapest cost (1 is ideal). Won back is
    (tuned - searched) / (1 - searched).
few: the 1,024 jets (615 to train on), the same scheme of 2 and of 3 bits everywhere: test accuracy post
    training, fine-tuned, and fine-tuned on made samples, with the standard error of each.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import widthwise as ww
from tasks.networks import jets_mlp
from widthwise.data.modules import load_data
from widthwise.search.finetuning import tuner_of
from widthwise.search.opened import problem_of_study
from widthwise.study.study import Study
from widthwise.training.finetuning.settings import BASE, Finetuning

PARTS = ("val", "test")
Points = Sequence[tuple[float, float]]  # (accuracy, ebops)


def config(widths: Sequence[int], kinds: Sequence[str], trials: int, seed: int) -> dict[str, Any]:
    """A post-training search of these widths for what layers read and their weights."""
    fractions = {f"{tensor}_frac_width": ["auto-mse"] for tensor in ("data_in", "weight", "bias")}
    given = {f"{tensor}_width": list(widths) for tensor in ("data_in", "weight")}
    rule = {"config": {"name": ["integer"], **given, **fractions, "bias_width": [8]}}
    space = {"name": "graph/quantize/mixed_precision_ptq", "setup": {"by": "type", "fold_batchnorm": True}}
    metrics = {"accuracy": {"direction": "maximize"}, "ebops": {"direction": "minimize"}}
    return {
        "seed": seed,
        "search": {
            "search_space": {**space, "seed": dict.fromkeys(kinds, rule)},
            "strategy": {"name": "frontier", "metrics": metrics},
            "constraints": {"trials": trials},
        },
    }


def fronts(name: str, seeds: int, trials: int, settings: Finetuning) -> None:
    """The share won back, by seed."""
    kinds = ["linear", "conv2d"] if "cnn" in name else ["linear"]
    won: dict[str, list[float]] = {part: [] for part in PARTS}
    for seed in range(seeds):
        data, model = load_data("digits", seed=seed), ww.load_model(name, seed=seed)
        ww.fit(model, data, epochs=40, learning_rate=5e-3, seed=seed)
        with TemporaryDirectory() as place:
            asked = config((2, 3, 4), kinds, trials, seed)
            searched = ww.search(model, data, asked, out=Path(place) / "run")
            befores = {part: points(searched, data, part) for part in PARTS}
            began = time.process_time()
            tuned = ww.finetune(searched, settings=settings, data=data, model=model)
            said: dict[str, Any] = {"network": name, "seed": seed, "tuned": len(tuned.finetuned)}
            said["processor"] = round(time.process_time() - began)
            for part, shares in won.items():
                found, ideal = points(tuned, data, part), accuracy(ww.Graph(model), data, part)
                before, after = volumes(befores[part], found, ideal)
                shares.append((after - before) / (1 - before))
                said[part] = {
                    "float": round(ideal[0], 4),
                    "standard_error": round(ideal[1], 4),
                    "searched": round(before, 4),
                    "tuned": round(after, 4),
                    "won_back": round(shares[-1], 3),
                }
                said[part]["front"] = [
                    (round(q, 3), int(cost)) for q, cost in sorted(found, key=lambda p: p[1])
                ]
        print(json.dumps(said), flush=True)
    for part, shares in won.items():
        error = float(np.std(shares, ddof=1) / len(shares) ** 0.5) if len(shares) > 1 else float("nan")
        mean = round(float(np.mean(shares)), 3)
        print(
            json.dumps({"network": name, "part": part, "won_back": mean, "standard_error": round(error, 3)})
        )


def points(study: Study, data: Any, part: str) -> Points:
    """Of the front's members, judged on a part of the data."""
    if part == "val":
        return [(trial.metrics["accuracy"], trial.metrics["ebops"]) for trial in study.front]
    return [(accuracy(study.network(trial), data, part)[0], trial.metrics["ebops"]) for trial in study.front]


def volumes(given: Points, found: Points, ideal: tuple[float, float]) -> tuple[float, float]:
    """Hypervolumes of two fronts as shares of the same box."""
    costs = [np.log(cost) for _, cost in (*given, *found)]
    low, high = min(costs), max(costs)
    return (
        ww.hypervolume(
            [(min(q / ideal[0], 1.0), (high - np.log(cost)) / (high - low)) for q, cost in given], (0, 0)
        ),
        ww.hypervolume(
            [(min(q / ideal[0], 1.0), (high - np.log(cost)) / (high - low)) for q, cost in found], (0, 0)
        ),
    )


def accuracy(graph: ww.Graph, data: Any, part: str) -> tuple[float, float]:
    """On a part of the data, and its standard error."""
    found = ww.evaluate(graph, data, metrics=["accuracy"], loader=part)["accuracy"]
    return found, ww.standard_errors(graph, data, metrics=["accuracy"], loader=part)["accuracy"]


def few(seeds: int, settings: Finetuning) -> None:
    """Plain fine-tuning and that on made samples, on few jets."""
    ways = {
        "by labels": replace(settings, training=replace(settings.training, distil=0.0)),
        "distilled": settings,
        "mixup 0.5, noise 0.1": replace(settings, mixup=0.5, noise=0.1),
    }
    model, _ = jets_mlp()
    for width in (2, 3):
        found: dict[str, list[float]] = {}
        for seed in range(seeds):
            data = load_data("jsc", seed=seed, standardise="reference")
            with TemporaryDirectory() as place:
                asked = config((width,), ["linear"], 1, seed)
                study = ww.search(model, data, asked, out=Path(place) / "run")
                found.setdefault("float", []).append(accuracy(ww.Graph(model), data, "test")[0])
                found.setdefault("post training", []).append(accuracy(study.network(0), data, "test")[0])
                problem = problem_of_study(study, model, data)
                graph = problem.network_of(study.trial(0).candidate)
                for name, how in ways.items():  # as it comes out, were it worse
                    tuned = tuner_of(problem, how)(graph).graph
                    found.setdefault(name, []).append(accuracy(tuned, data, "test")[0])
        said = {
            name: [
                round(float(np.mean(each)), 4),
                round(float(np.std(each) / max(len(each) - 1, 1) ** 0.5), 4),
            ]
            for name, each in found.items()
        }
        print(json.dumps({"bits": width, "seeds": seeds, **said}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", default="fronts,few")
    parser.add_argument("--networks", default="digits-mlp,digits-cnn")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--most", type=int, default=8)
    asked = parser.parse_args()
    settings = Finetuning(most=asked.most, training=replace(BASE, steps=asked.steps))
    if "fronts" in asked.parts:
        for name in asked.networks.split(","):
            fronts(name, asked.seeds, asked.trials, settings)
    if "few" in asked.parts:
        few(asked.seeds, settings)


if __name__ == "__main__":
    main()
