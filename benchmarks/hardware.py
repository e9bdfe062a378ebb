"""LUTs as a cost: their rank against Yosys, and what a search by them finds that one by BOPs does not.

python benchmarks/hardware.py [--schemes 16] [--seed 0] [--parts rank,front]

rank: random schemes (W 2 to 8) of two networks trained here on jets (16-5 and 16-16-5), each cost of a search
    against the LUTs of Yosys' synth_xilinx, and whether the netlist gives the expected outputs. Needs yosys
    and iverilog; LUTs are Yosys', not Vivado's.
front: the hls4ml tutorial's network (16-64-32-32-5, trained by others on all jets) on 1,024 jets: all 104,976
    candidates by accuracy and LUTs; then the front by accuracy and BOPs, its LUTs looked up. Its weights come
    from the data folder beside the repository (or WIDTHWISE_SHARED).
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn

from tasks.networks import jets_mlp
from widthwise import training
from widthwise.core.arrays import FloatArray, IntArray
from widthwise.data.modules import Data, load_data
from widthwise.evaluators.engine import Evaluator
from widthwise.export.rtl.exporter import RtlExporter
from widthwise.export.rtl.logic import logic_of
from widthwise.export.rtl.luts import Stages
from widthwise.export.rtl.synthesis import synthesised
from widthwise.metrics.goals.pareto import hypervolume, nondominated
from widthwise.network.graph import Graph
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.slots import slot_choices

COSTS = ("luts", "adders", "ebops", "bops", "model_size")
AUTO = ("data_in_frac_width", "weight_frac_width", "bias_frac_width")
DRAWN = 200  # schemes, of which those are taken that differ in more than their biases
DIMENSIONS = ((16, 5), (16, 16, 5))
SHOWN = 12  # accuracies that are printed
MOST_WHOLE = 40  # candidates whose whole network is estimated


@dataclass(frozen=True)
class Ranked:
    """A scheme's costs by name, and what Yosys made of it."""

    costs: dict[str, float]
    whole: float
    luts: float
    note: str
    seconds: float


def rule(**widths: list[int]) -> dict[str, object]:
    """Fixed point of these widths, the point where the values need it."""
    return {"config": {"name": ["integer"], **widths, **{name: ["auto"] for name in AUTO}}}


def perceptron(widths: tuple[int, ...], data: Data) -> nn.Module:
    """Trained on jets."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [
            layer for fan_in, fan_out in pairwise(widths) for layer in (nn.Linear(fan_in, fan_out), nn.ReLU())
        ]
        network = nn.Sequential(*layers[:-1])
    training.fit(network, data, epochs=20, learning_rate=1e-2, seed=0)
    return network.eval()


def ranked(network: nn.Module, data: Data, schemes: int, seed: int) -> list[Ranked]:
    """Random schemes of a network, synthesised."""
    graph = Graph(network)
    every = list(range(2, 9))
    seeds = {"linear": rule(data_in_width=every, weight_width=every, bias_width=every)}
    space = QuantisationSpace(graph, by="type", seed=seeds)
    evaluator = Evaluator(graph, space, data, metrics=["accuracy", *COSTS])
    drawn = space.sample(DRAWN, np.random.default_rng(seed))
    # the bias changes hardly a LUT: schemes that differ in no more would rank by chance
    names = [decision.name for decision in space.decisions]
    heavy = [column for column, name in enumerate(names) if not name.endswith("bias_width")]
    _, first = np.unique(drawn[:, heavy], axis=0, return_index=True)
    candidates = drawn[np.sort(first)[:schemes]]
    costs = evaluator.costs(candidates)
    form = RtlExporter("verilog", simulate=False, ternary=False)  # as certify synthesises
    found = []
    for row, candidate in enumerate(candidates):
        start = time.perf_counter()
        with TemporaryDirectory() as place:
            rtl, made = Path(place) / "rtl", Path(place) / "made"
            rtl.mkdir()
            made.mkdir()
            realised = evaluator.realise(candidate)
            written = form.write(realised, evaluator.network(candidate), rtl, (torch.zeros(1, 16),))
            by_yosys = synthesised(rtl, made)
        each = {name: float(costs[name][row]) for name in COSTS}
        whole = float(written.run.logic.cost)  # type: ignore[union-attr]
        seconds = time.perf_counter() - start
        found.append(Ranked(each, whole, by_yosys.metrics["yosys_luts"], by_yosys.notes[-1], seconds))
        print(
            f"  luts {each['luts']:7,.0f} (whole network {whole:7,.0f})  Yosys {found[-1].luts:6,.0f}  "
            f"{seconds:4.0f} s  {found[-1].note}",
            flush=True,
        )
    return found


def print_ranks(schemes: int, seed: int) -> None:
    """Spearman's rank correlation of each cost with Yosys' LUTs, of each network and of both together."""
    data = load_data("jsc", seed=0)
    groups: dict[str, list[Ranked]] = {}
    for widths in DIMENSIONS:
        name = "-".join(map(str, widths))
        print(f"{name}, {schemes // len(DIMENSIONS)} schemes", flush=True)
        groups[name] = ranked(perceptron(widths, data), data, schemes // len(DIMENSIONS), seed)
    groups["all"] = [each for rows in groups.values() for each in rows]
    print("\nSpearman's rank against Yosys' LUTs")
    for name, rows in groups.items():
        luts = [each.luts for each in rows]
        ranks = {cost: spearmanr([each.costs[cost] for each in rows], luts).statistic for cost in COSTS}
        ratios = [each.luts / each.costs["luts"] for each in rows if each.costs["luts"]]
        off = [abs(each.costs["luts"] / each.whole - 1) for each in rows if each.whole]
        print(
            f"  {name:<8} {'  '.join(f'{cost} {rank:.3f}' for cost, rank in ranks.items())}  "
            f"Yosys / luts {min(ratios):.2f} to {max(ratios):.2f}  sum off the whole: median "
            f"{np.median(off):.1%}, at most {max(off):.1%}"
        )


def print_fronts() -> None:
    """The front by LUTs, that by BOPs, and how many LUTs less the one needs at the accuracy of the other."""
    network, data = jets_mlp()
    graph = Graph(network)
    seeds = {"linear": rule(data_in_width=[4, 6], weight_width=[2, 3, 4], bias_width=[3, 5, 7])}
    space = QuantisationSpace(graph, by="type", seed=seeds)
    evaluator = Evaluator(graph, space, data, metrics=["accuracy", "luts", "bops"])
    every = space.at(range(space.size))
    start = time.perf_counter()
    luts = evaluator.costs(every)["luts"]
    tables = time.perf_counter() - start
    (stages,) = evaluator.prepared.costs.in_common.values()
    assert isinstance(stages, Stages)
    start = time.perf_counter()
    found = evaluator(every)
    judging = time.perf_counter() - start
    print(
        f"{space.size:,} candidates: {stages.made} stages estimated in {tables:.1f} s, all judged on 1,024 "
        f"jets in {judging:.1f} s"
    )
    by_luts = np.flatnonzero(nondominated(np.stack([found["accuracy"], -luts], axis=1)))
    by_bops = np.flatnonzero(nondominated(np.stack([found["accuracy"], -found["bops"]], axis=1)))
    print(f"front by accuracy and LUTs: {len(by_luts)} candidates; by accuracy and BOPs: {len(by_bops)}")
    print_comparison(found["accuracy"], luts, by_luts, by_bops)
    print_sums(stages, evaluator, every[by_luts], luts[by_luts])


def print_comparison(accuracy: FloatArray, luts: FloatArray, by_luts: IntArray, by_bops: IntArray) -> None:
    """The fewest LUTs of each front at accuracies that both reach, and the hypervolume of each."""
    top = min(accuracy[by_luts].max(), accuracy[by_bops].max())
    low = max(accuracy[by_luts].min(), accuracy[by_bops].min())
    levels = [level for level in np.unique(accuracy[by_luts]) if low <= level <= top]
    fewest = np.array(
        [[luts[rows[accuracy[rows] >= level]].min() for rows in (by_luts, by_bops)] for level in levels]
    )
    less = 1 - fewest[:, 0] / fewest[:, 1]
    chosen = np.unique(np.linspace(0, len(levels) - 1, SHOWN).round().astype(int))
    for row in chosen:
        print(
            f"  accuracy {levels[row]:.3f}: {fewest[row, 0]:8,.0f} LUTs by LUTs, "
            f"{fewest[row, 1]:8,.0f} by BOPs ({less[row]:.1%} fewer)"
        )
    print(
        f"at equal accuracy LUTs are fewer by {np.median(less):.1%} (median of {len(levels)} accuracies), "
        f"{less.min():.1%} to {less.max():.1%}"
    )
    worst = (0.2, -float(luts.max()))
    volumes = [
        hypervolume(np.stack([accuracy[rows], -luts[rows]], axis=1), worst) for rows in (by_luts, by_bops)
    ]
    print(
        f"hypervolume above accuracy 0.2 and the most LUTs: by BOPs {volumes[1] / volumes[0]:.3%} of by LUTs"
    )


def print_sums(stages: Stages, evaluator: Evaluator, candidates: IntArray, luts: FloatArray) -> None:
    """How far sums over stages are off alkaid's estimate of the whole network."""
    start = time.perf_counter()
    wholes = [
        logic_of(stages.program(chosen)).cost
        for chosen in slot_choices(evaluator.slots, candidates)[:MOST_WHOLE]
    ]
    off = np.abs(luts[: len(wholes)] / np.array(wholes) - 1)
    print(
        f"sums over stages against the whole network, {len(wholes)} of the front by LUTs: median "
        f"{np.median(off):.2%} off, at most {off.max():.2%} ({time.perf_counter() - start:.0f} s)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--schemes", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", default="rank,front")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for part in given.parts.split(","):
        if part == "rank":
            print_ranks(given.schemes, given.seed)
        else:
            print_fronts()


if __name__ == "__main__":
    main()
