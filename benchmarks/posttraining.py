"""Help without training, each way on and off: what a search of few bits gains by it.

    python benchmarks/posttraining.py [--seeds 3]

Equalised channels: a network of depthwise convolutions on digits, as it was trained, and with channels scaled
up and down by up to 2^spread between its layers, which changes nothing in float. Accuracy of the same uniform
scheme with and without; mean and standard error over seeds of split, training and scales. Prints a table of
docs/training.md.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from widthwise import training
from widthwise.core.arrays import FloatArray
from widthwise.data.modules import Data, load_data
from widthwise.evaluators.engine import evaluate
from widthwise.network.graph import Graph
from widthwise.network.passes import (
    calibrate_transform_pass,
    equalise_transform_pass,
    fold_batchnorm_transform_pass,
    quantize_transform_pass,
)

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


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    found = np.stack([of_seed(seed) for seed in range(given.seeds)])
    heads = ["channels scaled by up to", "equalised", *FORMATS, "float"]
    print("| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|")
    means, errors = found.mean(0), found.std(0, ddof=1) / len(found) ** 0.5
    for row, octaves in enumerate(SPREADS):
        for column, way in enumerate(("no", "yes")):
            pairs = zip(means[row, column], errors[row, column], strict=True)
            cells = [f"{mean:.3f} ± {error:.3f}" for mean, error in pairs]
            print("| " + " | ".join([str(2**octaves) if not column else "", way, *cells]) + " |")


if __name__ == "__main__":
    main()
