"""Help without training, each way on and off: what a search of few bits gains by it.

    python benchmarks/posttraining.py [--parts equalised,uniform,corrected,fronts] [--networks NAME,…]

equalised: a network of depthwise convolutions on digits, as it was trained, and with channels scaled up and
    down by up to 2^spread between its layers, which changes nothing in float; one scheme for all layers.
uniform: weights rounded to the nearest and adaptively, all weights in as many bits, inputs in 8.
corrected: with biases as they are and corrected, by either rounding; weights and bits as in uniform, batch
    norms folded.
fronts: what `frontier` finds in as many trials among 2 to 4 bits for weights and inputs of each layer, with
    either rounding alone and with both as choices; by accuracy and ebops, the hypervolume as a share of the
    box from no accuracy to float's and from the dearest to the cheapest member (logarithms), on validation
    data.

Means and standard errors over seeds of split, training, scales and search. For docs/training-measured.md.
"""

from __future__ import annotations

import argparse
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

import widthwise as ww
from widthwise import training
from widthwise.core.arrays import FloatArray
from widthwise.data.modules import Data, load_data
from widthwise.evaluators.engine import Evaluator, evaluate
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.network.passes import (
    calibrate_transform_pass,
    equalise_transform_pass,
    fold_batchnorm_transform_pass,
    quantize_transform_pass,
)
from widthwise.spaces.quantisation import QuantisationSpace

NETWORKS = {"digits-mlp": "digits", "digits-cnn": "digits", "jsc-mlp": "jsc", "depthwise": "digits"}
USUAL = "digits-mlp,digits-cnn,jsc-mlp"
BITS = [2, 3, 4]
ROUNDINGS = ("nearest", "adaptive")
CHOICES = (("nearest",), ("adaptive",), ROUNDINGS)
SPREADS = (0, 3, 6)
FORMATS: dict[str, dict[str, Any]] = {
    "int8": {"name": "int", "width": 8},
    "int6": {"name": "int", "width": 6},
    "int4, auto-mse": {"name": "int", "width": 4, "scale": "auto-mse"},
}


def depthwise() -> nn.Sequential:
    """1 x 8 x 8 images to ten scores: a convolution, two depthwise and pointwise ones, a linear layer."""

    def block(fan_in: int, fan_out: int) -> list[nn.Module]:
        return [
            *(nn.Conv2d(fan_in, fan_in, 3, padding=1, groups=fan_in), nn.BatchNorm2d(fan_in), nn.ReLU()),
            *(nn.Conv2d(fan_in, fan_out, 1), nn.BatchNorm2d(fan_out), nn.ReLU()),
        ]

    first = [nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()]
    last = [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, 10)]
    return nn.Sequential(*first, *block(16, 32), *block(32, 32), *last)


def spread_out(graph: Graph, octaves: float, seed: int) -> Graph:
    """The folded network with channels scaled between layers, the same in float."""
    model, generator = graph.model, torch.Generator().manual_seed(seed)
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        for one, other in pairwise(layers[:-1]):
            drawn = 2.0 ** (octaves * (2 * torch.rand(len(one.weight), generator=generator) - 1))
            one.weight.mul_(drawn.reshape(-1, 1, 1, 1))
            one.bias.mul_(drawn)
            alone = isinstance(other, nn.Conv2d) and other.groups > 1
            other.weight.div_(drawn.reshape((-1, 1, 1, 1) if alone else (1, -1, 1, 1)))
    return Graph(model)


def accuracy(graph: Graph, data: Data, fmt: dict[str, Any]) -> float:
    """Of one scheme, weights and inputs of all layers in one format, a scale for each tensor."""
    of_tensors = {f"{tensor}_{key}": value for tensor in ("data_in", "weight") for key, value in fmt.items()}
    rules = {kind: {"config": of_tensors} for kind in ("conv2d", "linear")}
    quantised, _ = quantize_transform_pass(graph, {"by": "type", **rules})
    fixed, _ = calibrate_transform_pass(quantised, {"data": data})
    return float(evaluate(fixed, data, metrics=["accuracy"])["accuracy"])


def of_seed(seed: int) -> FloatArray:
    """Accuracies [spreads, with and without, formats]; of float beside them, as one more format."""
    data = load_data("digits", seed=seed)
    torch.manual_seed(seed)
    network = depthwise()
    training.fit(network, data, epochs=20, learning_rate=1e-2, seed=seed)
    folded, _ = fold_batchnorm_transform_pass(Graph(network.eval()), {})
    found = np.empty((len(SPREADS), 2, len(FORMATS) + 1))
    for row, octaves in enumerate(SPREADS):
        plain = spread_out(folded.copy(), octaves, seed)
        equal, _ = equalise_transform_pass(plain, {})
        for column, graph in enumerate((plain, equal)):
            floats = float(evaluate(graph, data, metrics=["accuracy"])["accuracy"])
            found[row, column] = [*(accuracy(graph, data, fmt) for fmt in FORMATS.values()), floats]
    return found


def equalised(seeds: int) -> None:
    """With and without equalised channels."""
    found = np.stack([of_seed(seed) for seed in range(seeds)])
    heads = ["channels scaled by up to", "equalised", *FORMATS, "float"]
    print("| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|")
    means, errors = found.mean(0), found.std(0, ddof=1) / len(found) ** 0.5
    for row, octaves in enumerate(SPREADS):
        for column, way in enumerate(("no", "yes")):
            pairs = zip(means[row, column], errors[row, column], strict=True)
            cells = [f"{mean:.3f} ± {error:.3f}" for mean, error in pairs]
            print("| " + " | ".join([str(2**octaves) if not column else "", way, *cells]) + " |")


@cache
def trained(name: str, seed: int) -> tuple[nn.Module, Data]:
    """A built-in network, or that of depthwise convolutions, trained on a split of its data."""
    data = load_data(NETWORKS[name], seed=seed)
    torch.manual_seed(seed)
    model = depthwise() if name == "depthwise" else load_model(name, seed=seed)
    training.fit(model, data, epochs=20, learning_rate=1e-2, seed=seed)
    return model.eval(), data


def rule(bits: list[int], data_bits: list[int], ways: tuple[str, ...]) -> dict[str, Any]:
    """Of every layer: bits of weights, bits of inputs, roundings of weights."""
    points = {f"{tensor}_frac_width": ["auto-mse"] for tensor in ("data_in", "weight", "bias")}
    widths = {"weight_width": bits, "data_in_width": data_bits, "bias_width": [8]}
    return {"config": {"name": ["integer"], **widths, **points, "weight_rounding": list(ways)}}


def uniform(name: str, seeds: int) -> None:
    """Accuracies of uniform schemes by rounding."""
    found = np.empty((seeds, len(ROUNDINGS), len(BITS)))
    floats = []
    for seed in range(seeds):
        model, data = trained(name, seed)
        graph = Graph(model)
        floats.append(float(evaluate(graph, data, metrics=["accuracy"])["accuracy"]))
        kinds = {layer.type for layer in graph.layers} & {"linear", "conv2d"}
        for row, column in np.ndindex(len(ROUNDINGS), len(BITS)):
            chosen = dict.fromkeys(kinds, rule([BITS[column]], [8], (ROUNDINGS[row],)))
            space = QuantisationSpace(graph, by="type", seed=chosen)
            judged = Evaluator(graph, space, data, metrics=["accuracy"])(space.at([0]))
            found[seed, row, column] = judged["accuracy"][0]
    for row, way in enumerate(ROUNDINGS):
        first = f"{name}, {np.mean(floats):.3f}" if not row else ""
        print("| " + " | ".join([first, way, *map(shown, found[:, row].T)]) + " |", flush=True)


def corrected(name: str, seeds: int) -> None:
    """Accuracies of uniform schemes by rounding, biases as they are and corrected."""
    found = np.empty((seeds, len(ROUNDINGS), 2, len(BITS)))
    floats = []
    for seed in range(seeds):
        model, data = trained(name, seed)
        graph, _ = fold_batchnorm_transform_pass(Graph(model), {})
        floats.append(float(evaluate(graph, data, metrics=["accuracy"])["accuracy"]))
        kinds = {layer.type for layer in graph.layers} & {"linear", "conv2d"}
        for row, helped in np.ndindex(len(ROUNDINGS), 2):
            rules = dict.fromkeys(kinds, rule(BITS, [8], (ROUNDINGS[row],)))
            space = QuantisationSpace(graph, by="type", seed=rules, tie=True, bias_correction=bool(helped))
            alike = np.repeat(np.arange(len(BITS))[:, None], len(space.decisions), axis=1)
            found[seed, row, helped] = Evaluator(graph, space, data, metrics=["accuracy"])(alike)["accuracy"]
    for row, helped in np.ndindex(len(ROUNDINGS), 2):
        first = f"{name}, {np.mean(floats):.3f}" if not row and not helped else ""
        cells = [first, ROUNDINGS[row], ("no", "yes")[helped], *map(shown, found[:, row, helped].T)]
        print("| " + " | ".join(cells) + " |", flush=True)


def fronts(name: str, seeds: int, trials: int) -> None:
    """Hypervolumes of fronts by what weights may choose."""
    found = np.empty((seeds, len(CHOICES)))
    for seed in range(seeds):
        model, data = trained(name, seed)
        ideal = float(evaluate(Graph(model), data, metrics=["accuracy"])["accuracy"])
        kinds = {layer.type for layer in Graph(model).layers} & {"linear", "conv2d"}
        points = []
        for ways in CHOICES:
            rules = dict.fromkeys(kinds, rule(BITS, BITS, ways))
            with TemporaryDirectory() as place:
                study = ww.search(model, data, searched(rules, trials, seed), out=Path(place) / "run")
                points.append([(trial.metrics["accuracy"], trial.metrics["ebops"]) for trial in study.front])
        costs = [np.log(cost) for front in points for _, cost in front]
        low, high = min(costs), max(costs)
        for column, front in enumerate(points):
            scaled = [(min(q / ideal, 1.0), (high - np.log(cost)) / (high - low)) for q, cost in front]
            found[seed, column] = ww.hypervolume(scaled, (0, 0))
    print("| " + " | ".join([name, *map(shown, found.T)]) + " |", flush=True)


def searched(rules: dict[str, Any], trials: int, seed: int) -> dict[str, Any]:
    """The config of a search of these rules."""
    metrics = {"accuracy": {"direction": "maximize"}, "ebops": {"direction": "minimize"}}
    setup = {"by": "type", "fold_batchnorm": True}
    space = {"name": "graph/quantize/mixed_precision_ptq", "setup": setup, "seed": rules}
    strategy = {"name": "frontier", "metrics": metrics}
    search = {"search_space": space, "strategy": strategy, "constraints": {"trials": trials}}
    return {"seed": seed, "search": search}


def shown(values: FloatArray) -> str:
    """Mean and standard error over seeds."""
    return f"{values.mean():.3f} ± {values.std(ddof=1) / len(values) ** 0.5:.3f}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--parts", default="equalised,uniform,corrected,fronts")
    parser.add_argument("--networks", default=USUAL)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=60)
    given = parser.parse_args()
    parts, names = given.parts.split(","), given.networks.split(",")
    if "equalised" in parts:
        equalised(given.seeds)
    if "uniform" in parts:
        heads = ["network, accuracy in float", "rounding", *(f"{bits} bits" for bits in BITS)]
        print("| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|")
        for name in names:
            uniform(name, given.seeds)
    if "corrected" in parts:
        heads = ["network, accuracy in float", "rounding", "corrected", *(f"{bits} bits" for bits in BITS)]
        print("| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|")
        for name in names:
            corrected(name, given.seeds)
    if "fronts" in parts:
        heads = ["network", *(", ".join(ways) for ways in CHOICES)]
        print("| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|")
        for name in names:
            fronts(name, given.seeds, given.trials)


if __name__ == "__main__":
    main()
