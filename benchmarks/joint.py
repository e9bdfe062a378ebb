"""Bits and channels in one search against each alone and one after the other, at equal training.

digits-mlp (64-32-32-10) on the digits, for training.py: channels of both hidden layers times 1/4, 1/2, 3/4
or 1, inputs of 3 to 8 bits, weights of 2 to 8. Every way trains for the same passes: a supernet's step is
four, so the network of bits alone has four times the steps. Channels alone are in 8 bits. Each search has
as many trials, by frontier; the 16 of channels are all tried. Fronts are found on the validation part and
judged on the test part: their hypervolume in accuracy from 0.5 to 1 and log bops from the network in 8 bits
down to the smallest candidate, as a share of all of it. What comes after the other goes on from the knee of
its front.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy.stats import ttest_rel
from torch import nn

import widthwise as ww
from widthwise import training
from widthwise.config import load_config
from widthwise.data.modules import Data, load_data
from widthwise.evaluators.engine import evaluate
from widthwise.search.comparing.signed_ranks import signed_rank_p
from widthwise.search.problem import load_problem

STEPS, TRIALS = 600, 60
PASSES = 4  # of one step of a supernet: the largest, the smallest and two others
MULTIPLIERS = [0.25, 0.5, 0.75, 1]
LOWEST = 0.5  # accuracy
POINTS = {f"{tensor}_frac_width": ["auto"] for tensor in ("data_in", "weight", "bias")}
BITS = {
    "name": ["integer"],
    "data_in_width": [3, 4, 6, 8],
    "weight_width": [2, 3, 4, 6, 8],
    "bias_width": [8],
}
EIGHT = {"name": ["integer"], "data_in_width": [8], "weight_width": [8], "bias_width": [8]}
Points = list[tuple[float, float]]


def config(
    kind: str, rules: Mapping[str, Any], *, by: str, seed: int, trials: int, steps: int, strategy: str
) -> dict[str, Any]:
    """A search of digits-mlp."""
    joint = kind == "graph/joint"
    space = {
        "name": kind,
        "setup": {"by": by, **({"weights": "supernet"} if joint else {})},
        "seed": {key: {"config": rule} for key, rule in rules.items()},
    }
    goals = {"accuracy": {"direction": "maximize"}, "bops": {"direction": "minimize"}}
    limits = {"constraints": {"trials": trials}} if strategy == "frontier" else {}
    return {
        "seed": seed,
        "search": {
            "search_space": space,
            **({"training": {"steps": steps}} if joint else {}),
            "strategy": {"name": strategy, "metrics": goals},
            **limits,
        },
    }


def fronts(seed: int, steps: int, trials: int, folder: Path) -> dict[str, Points]:
    """(test accuracy, bops) of the front of each way."""
    data = load_data("digits", seed=seed)
    model = ww.load_model("digits-mlp", seed=seed)
    training.fit(model, data, steps=PASSES * steps, seed=seed)
    searched: dict[str, Any] = {"seed": seed, "trials": trials, "steps": steps}
    both = {**BITS, **POINTS, "channel_multiplier": MULTIPLIERS}
    narrow = {**EIGHT, **POINTS, "channel_multiplier": MULTIPLIERS}
    formats = {"linear": {**BITS, **POINTS}}
    ptq = "graph/quantize/mixed_precision_ptq"

    def search(name: str, network: nn.Module, kind: str, rules: Mapping[str, Any], **more: Any) -> ww.Study:
        given = config(kind, rules, **{"by": "type", "strategy": "frontier", **searched, **more})
        return ww.search(network, data, given, out=folder / name)

    joint = search("joint", model, "graph/joint", {"linear": both})
    bits = search("bits", model, ptq, formats)
    channels = search("channels", model, "graph/joint", {"linear": narrow}, strategy="brute-force")
    wide_first = search("channels first", in_float(channels, model, data), ptq, formats)
    scheme = by_layer(bits.pick("knee").config)
    bits_first = search("bits first", model, "graph/joint", scheme, by="name", strategy="brute-force")
    found = {
        "joint": joint,
        "bits alone": bits,
        "channels alone": channels,
        "channels, then bits": wide_first,
        "bits, then channels": bits_first,
    }
    return {name: points(study, data) for name, study in found.items()}


def in_float(study: ww.Study, model: nn.Module, data: Data) -> nn.Module:
    """The network of the knee's widths, as the supernet has it, without formats."""
    problem = load_problem(load_config(study.folder / "config.toml"), model=model, data=data)
    candidate = np.array(study.pick("knee").candidate)
    sizes = tuple(problem.space.sizes(candidate).items())
    return problem.evaluator.networks.graph(sizes).network


def by_layer(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """A rule for each layer with the bits that a trial has, and channels to choose."""
    rules: dict[str, Any] = {}
    for name, value in chosen.items():
        layer, _, key = name.rpartition("/")
        rules.setdefault(layer, {**EIGHT, **POINTS})[key] = [value]
    last = list(rules)[-1]
    return {
        layer: rule if layer == last else {**rule, "channel_multiplier": MULTIPLIERS}
        for layer, rule in rules.items()
    }


def points(study: ww.Study, data: Data) -> Points:
    """Of the front on validation samples: accuracy on test samples, and bops."""
    found = []
    for trial in study.front:
        graph = study.network(trial, model=study.searched_network())
        judged = evaluate(graph, data, metrics=["accuracy"], loader="test")
        found.append((judged["accuracy"], trial.metrics["bops"]))
    return found


def share(found: Points, least: float, most: float) -> float:
    """Of the rectangle from the worst corner to the ideal one."""
    table = np.array(
        [((a - LOWEST) / (1 - LOWEST), np.log(most / b) / np.log(most / least)) for a, b in found]
    )
    return ww.hypervolume(table, [0.0, 0.0])


def joint(seeds: int, steps: int = STEPS, trials: int = TRIALS) -> None:
    """The shares of each way by seed, and whether the differences are chance."""
    shares: dict[str, list[float]] = {}
    for seed in range(seeds):
        began = time.process_time()
        with TemporaryDirectory() as place:
            found = fronts(seed, steps, trials, Path(place))
        least, most = ends()
        for name, own in found.items():
            shares.setdefault(name, []).append(share(own, least, most))
        row = {name: round(values[-1], 4) for name, values in shares.items()}
        print(json.dumps({"seed": seed, "processor": round(time.process_time() - began), **row}), flush=True)
    told(shares)


def told(shares: Mapping[str, Sequence[float]]) -> None:
    """Means, and the joint front against each other: seeds in which it is larger, and two p values."""
    own = np.array(shares["joint"])
    for name, values in shares.items():
        said: dict[str, Any] = {"way": name, "mean": round(float(np.mean(values)), 4)}
        if name != "joint" and len(own) > 1:
            differences = own - np.array(values)
            said |= {
                "joint larger in": int((differences > 0).sum()),
                "p (t)": float(f"{ttest_rel(own, values).pvalue:.2g}"),
                "p (signed ranks)": float(f"{signed_rank_p(differences):.2g}"),
            }
        print(json.dumps(said), flush=True)


def ends() -> tuple[float, float]:
    """bops of the smallest candidate, and of the network in 8 bits."""
    data, model = load_data("digits", seed=0), ww.load_model("digits-mlp")
    found = []
    for multiplier, width in ((0.25, 2), (1, 8)):
        data_in = 3 if width == 2 else 8
        rule = {**EIGHT, **POINTS, "data_in_width": [data_in], "weight_width": [width]}
        given = config(
            "graph/joint",
            {"linear": {**rule, "channel_multiplier": [multiplier]}},
            by="type",
            seed=0,
            trials=1,
            steps=1,
            strategy="random",
        )
        problem = load_problem(load_config(given), model=model, data=data)
        found.append(float(problem.evaluator.costs(problem.space.at([0]))["bops"][0]))
    return found[0], found[1]
