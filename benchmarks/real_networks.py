"""How fast candidates of networks that nobody here wrote are scored: the engine beside a plain loop.

make bench-deps                             # timm and transformers, which the project itself doesn't need
python benchmarks/real_networks.py [NAME ...] [--threads 1 2] [--runs 3] [--layers 24]

Random weights; 32 images of 64 x 64 (timm, and transformers' ViT in patches of 8) or 32 texts of 64 tokens
(transformers, four layers of 256). The plain loop runs the user's own module once for each candidate; every
convolution and linear layer (of transformers: linear layers, and GPT-2's addmm) reads its input through its
format, over weights that are quantised once for each format. The work: candidates drawn at random; a sweep of
single changes spread over all layers; the same over the first layers alone. Beside the ratios stands what
sharing allows: the time of all calls of a run, over the time of those calls that follow a change. Runs of
both contenders alternate, on the same candidates, new ones each time; printed are medians. Each network
and number of threads has a process of its own, whose peak memory while the engine ran is printed too.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from others.loop import PlainLoop
from others.networks import FAMILIES, space_of
from others.sharing import Theory
from widthwise.core.arrays import IntArray
from widthwise.evaluators.engine import Evaluator
from widthwise.network.graph import Graph
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.slots import Slot

DRAWN = 6
EARLY = 0.25  # of the layers
METRICS = ["accuracy", "loss"]


# ---- candidates


class Candidates:
    """Batches of candidates, none of which comes twice."""

    def __init__(self, space: QuantisationSpace, slots: Sequence[Slot], most_layers: int) -> None:
        self.space, self.slots, self.most = space, slots, most_layers
        self.rng = np.random.default_rng(0)
        self.layers = list(dict.fromkeys(slot.layer for slot in slots))

    def drawn(self) -> tuple[IntArray, list[str]]:
        return self.space.sample(DRAWN, self.rng), []

    def sweep(self) -> tuple[IntArray, list[str]]:
        return self._changes(self.layers)

    def early(self) -> tuple[IntArray, list[str]]:
        return self._changes(self.layers[: max(1, int(len(self.layers) * EARLY))])

    def _changes(self, layers: Sequence[str]) -> tuple[IntArray, list[str]]:
        """A random candidate, and the same with a layer's weights (or inputs, if free) in another format."""
        spread = np.unique(np.linspace(0, len(layers) - 1, min(self.most, len(layers))).astype(int))
        base = self.space.sample(1, self.rng)[0]
        rows, changed = [base], []
        for number in spread:
            free = {s.tensor: s for s in self.slots if s.layer == layers[number] and s.columns}
            slot = free["data_in"] if number % 2 and "data_in" in free else free["weight"]
            row = base.copy()
            row[slot.columns[0]] = 1 - row[slot.columns[0]]
            rows.append(row)
            changed.append(layers[number])
        return np.array(rows), changed


# ---- measuring


def seconds_of(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def peak_mib() -> float:
    """Of the process since `restart_peak`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return float("nan")


def restart_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


@dataclass
class Measured:
    """Of one kind of work: speed relative to the loop, what sharing allows, seconds, MiB."""

    ratio: float
    theory: float
    engine: float
    loop: float
    peak: float


def measured(
    batches: Callable[[], tuple[IntArray, list[str]]],
    engine: Evaluator,
    loop: PlainLoop,
    theory: Theory,
    runs: int,
) -> Measured:
    ours, theirs, peak, changed = [], [], 0.0, []
    for _ in range(runs):
        candidates, changed = batches()
        restart_peak()
        ours.append(seconds_of(partial(engine, candidates)))
        peak = max(peak, peak_mib())
        theirs.append(seconds_of(partial(loop, candidates)))
    return Measured(
        statistics.median(t / o for t, o in zip(theirs, ours, strict=True)),
        theory(changed) if changed else 1.0,
        statistics.median(ours),
        statistics.median(theirs),
        peak,
    )


def measure(name: str, threads: int, runs: int, layers: int) -> float:
    """Prints the line of a network and a number of threads; gives the ratio of the random candidates."""
    warnings.filterwarnings("ignore")  # of the libraries that the networks are from
    torch.set_num_threads(threads)
    network = FAMILIES[name]()
    graph = Graph(network.module, network.data.x)
    space = space_of(graph, network)
    engine = Evaluator(graph, space, network.data, metrics=METRICS)
    loop = PlainLoop(network, graph, engine.slots)
    candidates = Candidates(space, engine.slots, layers)
    first = candidates.drawn()[0]
    ours, theirs = engine(first), loop(first)
    off = float(np.abs(ours["loss"] / theirs[:, 1] - 1).max())
    theory = Theory(engine, network.data.x)
    works = (candidates.drawn, candidates.sweep, candidates.early)
    drawn, sweep, early = (measured(work, engine, loop, theory, runs) for work in works)
    print(
        f"{f'{name}, {threads}':32}{drawn.ratio:>8.2f}"
        f"{f'{sweep.ratio:.2f} of {sweep.theory:.2f}':>16}"
        f"{f'{early.ratio:.2f} of {early.theory:.2f}':>16}"
        f"{max(drawn.peak, sweep.peak, early.peak):>10,.0f}"
        f"   {1e3 * drawn.engine / DRAWN:.0f} ms a candidate; losses differ by {off:.0e}",
        flush=True,
    )
    return drawn.ratio


def rows(names: Sequence[str], threads: Sequence[int], runs: int, layers: int) -> list[float]:
    """Prints a line for each network and number of threads; gives the ratios of the random candidates."""
    print(f"{'':32}{'random':>8}{'sweep':>16}{'early':>16}{'peak':>10}")
    print(f"{'network, threads':32}{'x loop':>8}{'x loop of':>16}{'x loop of':>16}{'MiB':>10}", flush=True)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as one:
        works = [one.submit(measure, name, count, runs, layers) for name, count in product(names, threads)]
        return [work.result() for work in works]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(FAMILIES)}; all, if none")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--layers", type=int, default=24, help="that change in a sweep, evenly spread")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in FAMILIES]:
        parser.error(f"no network {unknown[0]}; there are {', '.join(FAMILIES)}")
    found = rows(given.names or list(FAMILIES), given.threads, given.runs, given.layers)
    print(f"median of the random candidates {statistics.median(found):.2f}, least {min(found):.2f}")


if __name__ == "__main__":
    main()
