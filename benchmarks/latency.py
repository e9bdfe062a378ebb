"""Whether latency ratios repeat, and what integer kernels gain: independent measurements of one export.

python benchmarks/latency.py [--runs 7] [--batches 1,64] [--networks 512-1024-1024-512-16,16-64-32-32-5]

Networks of linear layers and ReLUs, 8 bits for inputs, weights and biases, in ONNX Runtime beside their float
networks. Each run makes both anew, in its own session. "Not measurable here" is counted, and no figure.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from widthwise.core.errors import UserError
from widthwise.export.latency.latency import Latency, Stopwatch
from widthwise.export.latency.turns import NotMeasurableError
from widthwise.formats import Integer
from widthwise.metrics.timing import Timing
from widthwise.network.realised import Input, Realised
from widthwise.network.scheme import Scheme

GOAL = 0.05  # by which runs may differ from their median, at a batch of 1
EIGHT = Scheme(Integer(8, 5), Integer(8, 9), Integer(8, 8))


def perceptron(sizes: Sequence[int]) -> nn.Module:
    """Linear layers of these sizes, random, with ReLUs between."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for given, gives in pairwise(sizes):
        layers += [nn.Linear(given, gives), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).eval()


def measured(sizes: Sequence[int], timing: Timing) -> Latency:
    """One measurement, from the export on."""
    network = perceptron(sizes)
    schemes = {f"_{2 * number}": EIGHT for number in range(len(sizes) - 1)}
    found = Realised((), {}, schemes, inputs=(Input("input", (sizes[0],), "float32"),))
    return Stopwatch(found, network, timing, formats=True)(found)


def repeated(name: str, batch: int, runs: int) -> float | None:
    """Prints the runs; by how much the one that differs most differs from their median."""
    found: list[Latency] = []
    restless = 0
    for _ in range(runs):
        try:
            found.append(measured([int(size) for size in name.split("-")], Timing(batch=batch)))
        except NotMeasurableError:
            restless += 1
    told = f"{name}, batch {batch}: "
    if not found:
        print(f"{told}not measurable here, {restless} times", flush=True)
        return None
    ratios = np.array([each.ratio for each in found])
    most = float(np.abs(ratios / np.median(ratios) - 1).max())
    print(
        f"{told}{np.median([each.microseconds for each in found]):,.1f} us, float "
        f"{np.median([each.float_microseconds for each in found]):,.1f} us; ratio {np.median(ratios):.3f}, "
        f"of {len(found)} runs {ratios.min():.3f} to {ratios.max():.3f}: within {most:.1%} of their median; "
        f"not measurable {restless} times",
        flush=True,
    )
    return most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--batches", default="1,64")
    parser.add_argument("--networks", default="512-1024-1024-512-16,16-64-32-32-5")
    given = parser.parse_args()
    missed = []
    for name in given.networks.split(","):
        for batch in map(int, given.batches.split(",")):
            try:
                most = repeated(name, batch, given.runs)
            except UserError as error:
                parser.error(str(error))
            if batch == 1 and (most is None or most > GOAL):
                missed.append(name)
    told = "all" if not missed else f"not of {', '.join(missed)}"
    print(f"ratios at batch 1 repeat within {GOAL:.0%}: {told}")


if __name__ == "__main__":
    main()
