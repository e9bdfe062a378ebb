"""A network that is trained once for all schemes: its cost, and whether it ranks them as training each does.

python benchmarks/shared.py [--networks digits-mlp,digits-cnn] [--seeds 3] [--steps 200] [--schemes 500]
                            [--alone 30] [--widths 2,3,4,6,8] [--again]

Of each seed (of the split, the float network, the search and its training): a float network is trained, then
one network is trained from it for all schemes of --widths bits a tensor, and --schemes of them, drawn at
random, are judged on validation data. `times` is how much processor time both take in units of the float
training; `steps` the same of steps, each scheme of a step counted. --alone of these schemes are then each
fine-tuned from the float network by as many steps; `kendall` is tau-b between the accuracies that both ways
give them on validation data, `kendall_all` on validation and test data together, and `post_training` the same
of weights as they are. --again trains each alone from a second seed: `ceiling` is tau-b between the two.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy.stats import kendalltau

import widthwise as ww
from finetuning import config
from widthwise.config import load_config
from widthwise.data.modules import load_data
from widthwise.search.finetuning import tuner_of
from widthwise.search.problem import Problem, load_problem
from widthwise.training.finetuning.settings import BASE, Finetuning

PASSES = 4  # of a step: the widest, the narrowest and two drawn
EPOCHS = 100  # of a float training, as many as configs that say nothing


def measured(name: str, seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    """The figures of one seed."""
    kinds = ["linear", "conv2d"] if "cnn" in name else ["linear"]
    data, model = load_data("digits", seed=seed), ww.load_model(name, seed=seed)
    floats, _ = timed(lambda: ww.fit(model, data, epochs=EPOCHS, learning_rate=5e-3, seed=seed))
    tables = config(asked.widths, kinds, asked.schemes, seed)
    tables["search"]["strategy"]["name"] = "random"
    tables["search"]["search_space"]["setup"]["weights"] = "supernet"
    tables["search"]["training"] = {"steps": asked.steps}
    with TemporaryDirectory() as place:
        took, study = timed(lambda: ww.search(model, data, tables, out=Path(place) / "run", page=False))
        rows = np.linspace(0, len(study.trials) - 1, asked.alone).astype(int)
        trials = [study.trial(int(row)) for row in rows]
        shared = np.array([scores(study.network(trial.number, model=model), data) for trial in trials])
    problem = load_problem(load_config(config(asked.widths, kinds, 1, seed)), model=model, data=data)
    candidates = [trial.candidate for trial in trials]
    before = np.array([scores(problem.network_of(each), data) for each in candidates])
    alone = each_alone(problem, candidates, data, asked.steps, seed)
    batches = sum(1 for _ in data.train_dataloader())
    found = {
        "network": name,
        "seed": seed,
        "float": round(float(study.record.settings.float_metrics["accuracy"]), 4),
        "float_seconds": round(floats, 2),
        "shared_seconds": round(took, 2),
        "times": round(took / floats, 2),
        "steps": round(PASSES * asked.steps / (EPOCHS * batches), 2),
        "kendall": tau(shared[:, 0], alone[:, 0]),
        "kendall_all": tau(shared.mean(1), alone.mean(1)),
        "post_training": tau(before[:, 0], alone[:, 0]),
        "accuracies": {
            way: [round(float(q), 3) for q in np.quantile(each[:, 0], (0, 0.5, 1))]
            for way, each in (("post_training", before), ("shared", shared), ("alone", alone))
        },
    }
    if asked.again:
        other = each_alone(problem, candidates, data, asked.steps, seed + 100)
        found["ceiling"] = tau(alone[:, 0], other[:, 0])
    return found


def each_alone(problem: Problem, candidates: Any, data: Any, steps: int, seed: int) -> Any:
    """Accuracies [k, 2] of candidates that are fine-tuned one by one from the float network."""
    tuner = tuner_of(problem, Finetuning(training=replace(BASE, steps=steps)))
    tuner = replace(tuner, seed=seed)
    return np.array([scores(tuner(problem.network_of(each)).graph, data) for each in candidates])


def scores(graph: ww.Graph, data: Any) -> list[float]:
    """Accuracies on validation and on test data."""
    return [
        ww.evaluate(graph, data, metrics=["accuracy"], loader=part)["accuracy"] for part in ("val", "test")
    ]


def tau(one: Any, other: Any) -> float:
    """Kendall's tau-b."""
    return round(float(kendalltau(one, other).statistic), 3)


def timed(do: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds, and what came of it."""
    began = time.process_time()
    found = do()
    return time.process_time() - began, found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", default="digits-mlp,digits-cnn")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--schemes", type=int, default=500)
    parser.add_argument("--alone", type=int, default=30)
    parser.add_argument(
        "--widths", default=(2, 3, 4, 6, 8), type=lambda text: tuple(int(width) for width in text.split(","))
    )
    parser.add_argument("--again", action="store_true")
    asked = parser.parse_args()
    for name in asked.networks.split(","):
        ww.fit(ww.load_model(name, seed=0), load_data("digits", seed=0), epochs=1)  # imports and all that
        found = []
        for seed in range(asked.seeds):
            found.append(measured(name, seed, asked))
            print(json.dumps(found[-1]), flush=True)
        means = {
            key: round(float(np.mean([each[key] for each in found])), 3)
            for key in ("times", "kendall", "kendall_all", "post_training")
        }
        print(json.dumps({"network": name, "seeds": asked.seeds, **means}), flush=True)


if __name__ == "__main__":
    main()
