"""Peak memory of calibrating on images of 224 x 224, beside the budget that evaluating may take.

Run as `python benchmarks/calibration_memory.py [--memory MIB] [--images N] [--batch N] [--format NAME]`, and
with `--alone` for a network that takes another way by its values, so that candidates share nothing. The
figures are of this process: resident memory when all is made, at most while formats are calibrated, and at
most while one candidate is evaluated. About 60 MiB of that is what torch loads when it first runs a network.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import widthwise as ww

MIB = 2**20
FORMATS: dict[str, dict[str, Any]] = {
    "auto": {"name": ["integer"], "data_in_width": [4, 8], "data_in_frac_width": ["auto"]},
    "auto-mse": {"name": ["integer"], "data_in_width": [4, 8], "data_in_frac_width": ["auto-mse"]},
    "scaled": {"name": ["scaled_integer"], "data_in_width": [4, 8]},
    "ternary": {"name": ["ternary"], "data_in_scaling_factor": [True]},
}


class Block(nn.Module):
    """A residual block that halves the sides."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        self.norm, self.second = nn.BatchNorm2d(outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm(self.first(x)))
        return torch.relu(self.second(y) + self.skip(x))


class Deciding(nn.Module):
    """Asks for a value of its input, which no tracer can follow."""

    def forward(self, x: Tensor) -> Tensor:
        return x if bool(x.isfinite().all()) else x.nan_to_num()


def network(*, alone: bool) -> nn.Module:
    """Three residual blocks, as small as image networks are: 112 x 112 x 16 is its widest value."""
    torch.manual_seed(0)
    return nn.Sequential(
        *([Deciding()] if alone else []),
        Block(3, 16),
        Block(16, 32),
        Block(32, 64),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


class Images:
    """Random images in batches, made when they are asked for, as a loader reads files."""

    note = "random images"

    def __init__(self, count: int, batch: int) -> None:
        self.count, self.batch = count, batch

    def train_dataloader(self) -> Any:
        generator = torch.Generator().manual_seed(0)
        for start in range(0, self.count, self.batch):
            samples = min(self.batch, self.count - start)
            yield torch.randn(samples, 3, 224, 224, generator=generator), torch.arange(samples) % 10

    val_dataloader = test_dataloader = train_dataloader


class Peak:
    """The most resident memory of this process inside a with block, sampled each millisecond."""

    def __enter__(self) -> Peak:
        self.most, self.over = resident(), False
        self.thread = threading.Thread(target=self._sample)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over = True
        self.thread.join()

    def _sample(self) -> None:
        while not self.over:
            self.most = max(self.most, resident())
            time.sleep(0.001)


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", type=int, default=256, help="budget in MiB")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--format", choices=FORMATS, default="auto")
    parser.add_argument("--alone", action="store_true", help="each candidate takes a pass of its own")
    given = parser.parse_args()
    torch.set_num_threads(1)
    graph, data = ww.Graph(network(alone=given.alone).eval()), Images(given.images, given.batch)
    types = {layer.type for layer in graph.layers if "weight" in layer.tensors} & {"conv2d", "linear"}
    space = ww.QuantisationSpace(
        graph, by="type", seed={kind: {"config": FORMATS[given.format]} for kind in types}
    )
    start = resident()
    began = time.perf_counter()
    with Peak() as calibrating:
        evaluator = ww.Evaluator(graph, space, data, metrics=["accuracy"], memory=given.memory * MIB)
    took = time.perf_counter() - began
    with Peak() as evaluating:
        evaluator(space.at([0]))
    print(f"{given.images} images of 224 x 224 in batches of {given.batch}, {given.format}, one thread")
    print(f"budget               {given.memory:6} MiB")
    print(f"before               {start / MIB:6.0f} MiB resident")
    more = (calibrating.most - start) / MIB
    print(f"calibrating, peak    {calibrating.most / MIB:6.0f} MiB, {more:.0f} more, {took:.1f} s")
    print(
        f"one candidate, peak  {evaluating.most / MIB:6.0f} MiB, {(evaluating.most - start) / MIB:.0f} more"
    )


if __name__ == "__main__":
    main()
