"""Where the point of a fixed-point format stands: the quality of uniform schemes by each way to settle it.

    python benchmarks/ranges.py [--networks NAME,…] [--bits 3,4,5,6,8]

Every layer has all its tensors in the same number of bits. "half": half of them behind the point; "auto": as
many as the greatest magnitude leaves; "auto-99.9", "auto-99": with one value in 1,000, in 100 cut off;
"auto-mse": as many as give the least squared error. Prints a table of docs/formats.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from tasks import networks
from widthwise.core.arrays import FloatArray
from widthwise.data.modules import Data
from widthwise.evaluators.engine import Evaluator, evaluate
from widthwise.network.graph import Graph
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.uniform import as_rows

NETWORKS: dict[str, Callable[[], tuple[nn.Module, Data]]] = {
    "jets 16-64-32-32-5": networks.jets_mlp,
    "jets 16-16-16-5": lambda: networks.trained("jsc-three-linear", "jsc"),
    "digits MLP": lambda: networks.trained("digits-mlp", "digits"),
    "digits CNN": lambda: networks.trained("digits-cnn", "digits"),
    "digits ResNet-8": lambda: networks.resnet(3),
}
WAYS = {"half": "NA", **{way: way for way in ("auto", "auto-99.9", "auto-99", "auto-mse")}}
TYPES = ("linear", "conv2d")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--bits", default="3,4,5,6,8")
    given = parser.parse_args()
    bits = [int(one) for one in given.bits.split(",")]
    heads = ["network, accuracy in float", "point", *(f"{one} bits" for one in bits)]
    print("| " + " | ".join(heads) + " |\n" + "| --- " * len(heads) + "|")
    for name in given.networks.split(","):
        model, data = NETWORKS[name]()
        graph = Graph(model)
        whole = evaluate(graph, data, metrics=["accuracy"])["accuracy"]
        rows = {way: accuracies(graph, data, bits, frac) for way, frac in WAYS.items()}
        best = np.max(list(rows.values()), axis=0)
        for way, found in rows.items():
            marked = zip(found, found == best, strict=True)
            cells = [f"**{one:.3f}**" if top else f"{one:.3f}" for one, top in marked]
            first = f"{name}, {whole:.3f}" if way == "half" else ""
            print("| " + " | ".join([first, way, *cells]) + " |", flush=True)


def accuracies(graph: Graph, data: Data, bits: list[int], frac: str) -> FloatArray:
    """Accuracy of the uniform scheme of each number of bits."""
    seed: dict[str, Any] = {}
    for layer in graph.layers:
        if layer.type in TYPES:
            rule = seed.setdefault(layer.type, {"config": {"name": ["integer"]}})["config"]
            for tensor in layer.tensors:
                rule |= {f"{tensor}_width": bits, f"{tensor}_frac_width": [frac]}
    space = QuantisationSpace(graph, by="type", seed=seed)
    rows = as_rows(sorted(space.uniform, key=lambda one: one.bits), len(space.decisions))
    if len(bits) == 1:  # nothing to choose
        rows = space.at([0])
    found: FloatArray = Evaluator(graph, space, data, metrics=["accuracy"])(rows)["accuracy"]
    return found


if __name__ == "__main__":
    main()
