"""How fast candidates are scored: the engine beside a hand-written loop, a hand-written tree, and one by one.

python benchmarks/engine.py [--quick]

Every row is measured in this run, the contenders in turn; printed are medians and ratios to the engine.
jsc-mlp's weights come from the data folder beside the repository (or WIDTHWISE_SHARED).
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import resource
import statistics
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from widthwise.core.arrays import IntArray
from widthwise.data.modules import load_data
from widthwise.evaluators.engine import Evaluator
from widthwise.evaluators.engine.walk import Count
from widthwise.formats import Integer
from widthwise.metrics.catalogue import METRICS as KNOWN
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.network.quantized import Quantized
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.slots import schemes, slot_choices
from widthwise.strategies import strategy

LAB = {"name": ["integer"], "data_in_width": [4, 8], "weight_width": [2, 4, 8], "bias_width": [2, 4, 8]}
LAB_SECONDS = 5e-3  # the lab's code, measured: rebuild and evaluate one configuration of jsc-three-linear
METRICS = ["accuracy", "f1"]  # of one confusion matrix, as the hand-written contenders give


def median_seconds(run: Callable[[], object], runs: int) -> float:
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def row(work: str, seconds: float, note: str) -> None:
    print(f"{work:<58} {seconds:>10.3f} s  {note}")


# ---- the hand-written contenders: jsc-mlp, weights of each format quantised once


def layers_of(model: nn.Module) -> list[nn.Linear]:
    return [module for module in model.modules() if isinstance(module, nn.Linear)]


def confusion(scores: Tensor, y: Tensor) -> Tensor:
    return torch.bincount(y * 5 + scores.argmax(1), minlength=25)


def quantised_parameters(model: nn.Module) -> list[tuple[dict[int, Tensor], dict[int, Tensor]]]:
    return [
        (
            {w: Integer(w).quantize(layer.weight.detach()) for w in (2, 4, 8)},
            {b: Integer(b).quantize(layer.bias.detach()) for b in (2, 4, 8)},
        )
        for layer in layers_of(model)
    ]


def hand_written_loop(model: nn.Module, x: Tensor, y: Tensor, configs: list[tuple]) -> list[Tensor]:
    """Every configuration from the input to the scores, over weights that are quantised already."""
    parameters = quantised_parameters(model)
    formats = {4: Integer(4), 8: Integer(8)}
    found = []
    for config in configs:
        value = x
        for (weights, biases), (a, w, b) in zip(parameters, config, strict=True):
            value = torch.addmm(biases[b], formats[a].quantize(value), weights[w].t())
            if len(value[0]) != 5:
                value = torch.relu(value)
        found.append(confusion(value, y))
    return found


def hand_written_tree(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """All configurations of this one network as a tree: weights side by side, biases added to all of them."""
    parameters = quantised_parameters(model)
    formats = (Integer(4), Integer(8))
    onehot = nn.functional.one_hot(y, 5).float()
    found: list[Tensor] = []

    def down(level: int, value: Tensor) -> None:  # value [out, samples]
        weights = torch.cat(list(parameters[level][0].values()))
        biases = torch.stack(list(parameters[level][1].values()))
        for fmt in formats:
            product_ = (weights @ fmt.quantize(value)).view(3, 1, -1, len(y))
            summed = (product_ + biases[None, :, :, None]).flatten(0, 1)  # [9, out, samples]
            if level == 3:
                found.append(summed)
                continue
            for version in torch.relu_(summed):
                down(level + 1, version)
        if level == 3 and len(found) >= 64:
            flush()

    counts: list[Tensor] = []

    def flush() -> None:
        scores = torch.cat(found)  # [versions, 5, samples]
        found.clear()
        best = scores.amax(1)
        settled = torch.zeros_like(best, dtype=torch.bool)
        for number in range(5):
            hit = (scores[:, number] == best) & ~settled
            settled |= hit
            counts.append(hit.float() @ onehot)

    down(0, x.t().contiguous())
    flush()
    return torch.cat(counts)


def jets(samples: int) -> tuple[Evaluator, QuantisationSpace, Tensor, Tensor, nn.Module]:
    shared = Path(os.environ.get("WIDTHWISE_SHARED", Path(__file__).parents[2] / "shared"))
    weights = next((p for p in (shared / "jsc_mlp.npz", shared / "data" / "jsc_mlp.npz") if p.exists()), None)
    if weights is None:
        raise SystemExit(f"no jsc_mlp.npz in {shared}; set WIDTHWISE_SHARED to the folder that holds it")
    model = load_model("jsc-mlp", checkpoint=weights).eval()
    data = load_data("jsc", splits=(0, 1, 0), standardise="reference")
    graph = Graph(model)
    space = QuantisationSpace(graph, by="type", seed={"linear": {"config": LAB}})
    evaluator = Evaluator(graph, space, data, metrics=METRICS, samples=samples)
    x, y = (part[:samples] for part in data.parts["val"])
    return evaluator, space, x, y, model


def brute_force(quick: bool) -> None:
    evaluator, space, x, y, model = jets(1024)
    every = np.concatenate(list(space.enumerate()))
    choices = list(product((4, 8), (2, 4, 8), (2, 4, 8)))
    configs = [
        tuple(choices[a * 9 + w * 3 + b] for a, w, b in candidate.reshape(4, 3))
        for candidate in every[:: 105 if quick else 52]
    ]
    evaluator(every)
    peak = peak_mib()  # before the contenders take theirs
    with torch.no_grad():
        hand_written_loop(model, x, y, configs[:50])
        engine, loop, tree = [], [], []
        for _ in range(1 if quick else 3):
            engine.append(median_seconds(lambda: evaluator(every), 1))
            loop.append(median_seconds(lambda: hand_written_loop(model, x, y, configs), 1))
            tree.append(median_seconds(lambda: hand_written_tree(model, x, y), 1))
        ours = evaluator(every[:: 105 if quick else 52])["accuracy"]
        theirs = [c.view(5, 5).diag().sum().item() / 1024 for c in hand_written_loop(model, x, y, configs)]
    seconds = statistics.median(engine)
    each = statistics.median(loop) / len(configs)
    print(f"\njsc-mlp, 1,024 jets, all {len(every):,} configurations")
    row("  engine", seconds, f"{len(every) / seconds:,.0f} a second; peak {peak:,.0f} MiB")
    row(
        "  hand-written loop, cached weights (scaled up)",
        each * len(every),
        f"{each * len(every) / seconds:.1f} x",
    )
    row(
        "  hand-written tree for this network",
        statistics.median(tree),
        f"engine takes {seconds / statistics.median(tree):.2f} x its time",
    )
    print(f"  engine and loop agree on {sum(map(np.isclose, ours, theirs))} of {len(theirs)} configurations")


def against_the_lab(quick: bool) -> None:
    evaluator, space, *_ = jets(512)
    every = np.concatenate(list(space.enumerate()))
    seconds = median_seconds(lambda: evaluator(every), 1 if quick else 3)
    print("\njsc-mlp, 512 jets, against 5 ms a configuration in the lab's system (jsc-three-linear)")
    row("  brute force", seconds, f"{LAB_SECONDS * len(every) / seconds:,.0f} x")
    one = np.random.default_rng(0).choice(len(every), 400, replace=False)
    each = median_seconds(lambda: [evaluator(every[i : i + 1]) for i in one], 1) / len(one)
    row("  one candidate at a time, each", each, f"{LAB_SECONDS / each:.1f} x")
    fresh = median_seconds(lambda: [rebuilt(evaluator, every[i]) for i in one[:40]], 1) / 40
    row("  our own graph rebuilt for each candidate, each", fresh, f"{fresh / each:.1f} x one at a time")


def rebuilt(evaluator: Evaluator, candidate: IntArray) -> float:
    """What a trial was before the engine: a quantised copy of the graph, run over the data."""
    model = evaluator.network(candidate).model.eval()
    with torch.no_grad():
        return sum(float((model(*b.inputs).argmax(1) == b.targets).sum()) for b in evaluator.judged.blocks())


def three_linear(quick: bool) -> None:
    data = load_data("jsc")
    graph = Graph(load_model("jsc-three-linear"))
    names = [layer.name for layer in graph.layers if layer.type == "linear"]
    space = QuantisationSpace(graph, by="name", seed={name: {"config": LAB} for name in names})
    evaluator = Evaluator(graph, space, data, metrics=METRICS)
    every = np.concatenate(list(space.enumerate()))
    evaluator(every)
    seconds = median_seconds(lambda: evaluator(every), 3 if quick else 7)
    print(f"\njsc-three-linear by name, {len(every):,} configurations, {evaluator.judged.total} jets")
    row("  engine", seconds, f"{len(every) / seconds:,.0f} a second")


class Images:
    """1,000 random 32 x 32 images as data: what counts here is time."""

    def __init__(self, samples: int) -> None:
        torch.manual_seed(0)
        self.x, self.y = torch.randn(samples, 3, 32, 32), torch.randint(0, 10, (samples,))

    def train_dataloader(self) -> list[tuple[Tensor, Tensor]]:
        return [(self.x[i : i + 100], self.y[i : i + 100]) for i in range(0, len(self.y), 100)]

    val_dataloader = test_dataloader = train_dataloader


def one_by_one(evaluator: Evaluator, chosen: IntArray) -> tuple[float, int]:
    """Seconds and node evaluations of each candidate's whole network, weights quantised once a format."""
    graph = evaluator.prepared.graph.quantized(schemes(evaluator.slots, chosen[0]))
    model = graph.model.eval()
    wrapped = {n.name: graph.modules[str(n.target)] for n in graph.fx_graph.nodes if n.op == "call_module"}
    blocks = list(evaluator.judged.blocks())
    nodes = sum(node.op.startswith("call_") for node in graph.fx_graph.nodes)
    start = time.perf_counter()
    with torch.no_grad():
        for choice in chosen:
            for name, scheme in schemes(evaluator.slots, choice).items():
                if isinstance(wrapped.get(name), Quantized):
                    wrapped[name].scheme = scheme
            for block in blocks:
                confusion10(model(*block.inputs), block.targets)
    return time.perf_counter() - start, nodes * len(chosen) * len(blocks)


def confusion10(scores: Tensor, y: Tensor) -> Tensor:
    return torch.bincount(y * 10 + scores.argmax(1), minlength=100)


def cnn(quick: bool) -> None:
    model = load_model("resnet8").eval()
    graph = Graph(model)
    config = {
        "name": ["integer"],
        "data_in_width": [4, 6, 8],
        "data_in_frac_width": 3,
        "weight_width": [4, 6, 8],
        "weight_frac_width": 5,
    }
    rules = {kind: {"config": config} for kind in ("conv2d", "linear")}
    space = QuantisationSpace(graph, by="type", seed=rules)
    evaluator = Evaluator(graph, space, Images(200 if quick else 1000), metrics=["accuracy"])
    largest = np.array([len(d.choices) - 1 for d in space.decisions])
    sweep = [largest]
    for column, decision in enumerate(space.decisions):
        sweep += [
            np.where(np.arange(len(largest)) == column, i, largest) for i in range(len(decision.choices) - 1)
        ]
    sweeps = np.array(sweep)
    drawn = space.sample(16 if quick else 512, np.random.default_rng(0))
    print(f"\nResNet-8, {evaluator.judged.total:,} images of 32 x 32, {space.size:.1e} configurations")
    for name, batch in (("sensitivity sweep", sweeps), (f"{len(drawn)} random candidates", drawn)):
        evaluator.count = Count()
        shared = median_seconds(lambda batch=batch: evaluator(batch), 1)
        seconds, nodes = one_by_one(evaluator, slot_choices(evaluator.slots, batch))
        print(f"  {name}, {len(batch)} candidates")
        ours = evaluator.count.nodes
        row("    engine", shared, f"{ours:,} node evaluations; peak {peak_mib():,.0f} MiB")
        row(
            "    one by one, cached weights",
            seconds,
            f"{seconds / shared:.2f} x; {nodes:,} ({nodes / ours:.1f} x)",
        )


def sampler(quick: bool) -> None:
    evaluator, space, *_ = jets(1024)
    aims = {"accuracy": "maximize", "average_bitwidth": "minimize"}
    trials = 100 if quick else 1000

    def search(judge: Callable[[IntArray], np.ndarray]) -> tuple[float, float]:
        proposer = strategy("tpe", space, objectives=aims, seed=0)
        proposing = judging = 0.0
        for _ in range(trials):
            start = time.perf_counter()
            candidates = proposer.ask(1)
            between = time.perf_counter()
            values = judge(candidates)
            after = time.perf_counter()
            proposer.tell(candidates, values)
            judging += after - between
            proposing += time.perf_counter() - after + between - start
        return proposing, judging

    def judge(candidates: IntArray) -> np.ndarray:
        found = evaluator(candidates)
        chosen = slot_choices(evaluator.slots, candidates)
        costs = evaluator.prepared.costs([KNOWN["average_bitwidth"]], chosen)
        return np.column_stack([found["accuracy"], -costs["average_bitwidth"]])

    proposing, judging = search(judge)
    print(f"\nTPE, {trials:,} trials one at a time, jsc-mlp, 1,024 jets")
    row("  the sampler itself, each", proposing / trials, "")
    row("  the engine, each", judging / trials, f"{1e3 * judging / trials:.2f} ms a trial")


def profile() -> None:
    evaluator, space, *_ = jets(1024)
    every = np.concatenate(list(space.enumerate()))
    with cProfile.Profile() as profiler:
        evaluator(every)
    print("\nwhere the time of the first row goes")
    stats = pstats.Stats(profiler)
    total = stats.total_tt  # type: ignore[attr-defined]
    rows = sorted(stats.stats.items(), key=lambda item: -item[1][2])[:8]  # type: ignore[attr-defined]
    for (path, _, name), (_, calls, own, *_) in rows:
        print(f"  {own / total:6.1%}  {calls:>8,} calls  {Path(path).name} {name}")


WORKS = {
    "brute-force": brute_force,
    "lab": against_the_lab,
    "three-linear": three_linear,
    "cnn": cnn,
    "tpe": sampler,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs and smaller data")
    parser.add_argument("--only", choices=WORKS, help="one of the works")
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; medians of several runs")
    for name, work in WORKS.items():
        if arguments.only in (None, name):
            work(arguments.quick)
    if arguments.only in (None, "brute-force"):
        profile()


if __name__ == "__main__":
    main()
