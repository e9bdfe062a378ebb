"""What processes bring, how many workers one driver can feed, and what large searches take.

    python -m benchmarks.scale [--rounds 3] [--epochs 12] [--only jobs feed resume spaces million front]

Each figure that has an aim is printed beside it.

Speed-up: a grid of widths, every candidate trained, by one process and by --jobs 2 in turns, one thread each.
Three ratios: by the clock once workers are up, by the clock with their start, and of processor time (one
process's to that of the busiest worker and the driver together): the last is what two free cores give, and
the only one that means anything on a machine where others compute.

Beside them, what two processes that share nothing bring on this machine: no division of work brings more.

Feeding: the loop of a search with its real strategy, store, messages and bookkeeping, and workers that
answer at once. What is left is the driver's own work; candidates for each second of its processor time are
what it can feed at most, whatever else the machine is doing.

Busy: with that cost, a simulation of workers whose candidates take so many seconds each, give or take a
third (log-normal): the share of their time that workers evaluate. They wait while the driver asks, tells and
stores, and for the last of each batch.
"""

from __future__ import annotations

import argparse
import heapq
import os
import statistics
import tempfile
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from widthwise.study.store.settings import StudySettings

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from benchmarks.scaling.measuring import alone, line
from benchmarks.scaling.million import million, ten_million
from benchmarks.scaling.resuming import resuming
from benchmarks.scaling.spaces import large_spaces

from widthwise.core.arrays import IntArray
from widthwise.evaluators.protocol import Pace, Results
from widthwise.evaluators.workers import ParallelEvaluator
from widthwise.evaluators.workers.messages import (
    pack_candidates,
    pack_results,
    unpack_candidates,
    unpack_results,
)
from widthwise.evaluators.workers.parts import Part
from widthwise.evaluators.workers.workers import Answer
from widthwise.metrics.catalogue import find_metric
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.goals.objective import Objective
from widthwise.search.limits import Limits
from widthwise.search.loop import run_search
from widthwise.search.workers import judge_of
from widthwise.spaces.space import Decision, Space
from widthwise.strategies import strategy
from widthwise.study.store import Store, StudyRecord, StudyWriter

PARTS = ("jobs", "feed", "resume", "spaces", "million", "front")
METRICS = ("accuracy", "loss", "model_size", "average_bitwidth", "bops")
SPACE = Space(tuple(Decision(f"layer {i}", (2, 4, 8, "NA")) for i in range(12)))
AIM = Aim((Objective(find_metric("accuracy"), "maximize"), Objective(find_metric("model_size"), "minimize")))
WORKERS = (1, 4, 16, 64, 256, 1000)
EACH = (1, 16, 256)  # candidates of a worker in a batch
TAKES = (0.1, 1.0, 60.0)  # seconds for a candidate
SPREAD = 0.3
SIMULATED_BATCHES = 5
FEED_SECONDS = 4.0
FEED_AT_MOST = 200_000


def main() -> None:
    """Print all parts, or those that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    given = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f} before anything was started")
    parts = {
        "jobs": lambda: speed_up(given.rounds, given.epochs),
        "feed": feed,
        "resume": resuming,
        "spaces": large_spaces,
        "million": million,
        "front": ten_million,
    }
    for name in given.only:
        parts[name]()


def speed_up(rounds: int, epochs: int) -> None:
    """One process and two, in turns."""
    ratios = []
    print("seconds of training 16 networks       ratio")
    print(f"{'round':<7}{'1 process':>11}{'2 processes':>13}{'clock':>9}{'whole':>8}{'processor':>11}")
    for number in range(rounds):
        one, both = train_all(1, epochs), train_all(2, epochs)
        ratios.append([one[key] / both[key] for key in ("clock", "whole", "processor")])
        clock, whole, processor = ratios[-1]
        print(
            f"{number:<7}{one['clock']:>11.1f}{both['clock']:>13.1f}{clock:>9.2f}{whole:>8.2f}{processor:>11.2f}",
            flush=True,
        )
    clock, whole, processor = (statistics.median(column) for column in zip(*ratios, strict=True))
    print(f"{'median':<31}{clock:>9.2f}{whole:>8.2f}{processor:>11.2f}")
    line("two processes against one, by the clock", clock, "x", least=1.6)
    print(f"two that share nothing, each training all sixteen: {ceiling(epochs):.2f} x on this machine")


def ceiling(epochs: int) -> float:
    """How many times as much two processes that share nothing get done, by the clock, as one does.

    Less than two where cores share caches, memory or what computes.
    """

    def seconds(_: int) -> float:
        return float(alone("benchmarks.scale", "train_all", 1, epochs)["clock"])

    one = seconds(0)
    with ThreadPoolExecutor(2) as together:
        return 2 * one / statistics.mean(together.map(seconds, range(2)))


def train_all(jobs: int, epochs: int) -> dict[str, float]:
    """Seconds for the sixteen networks: by the clock once workers are up, and with their start ("whole").

    processor: of the busiest process, the driver's own added, which is what free cores would take.
    """
    from widthwise.config import load_config  # noqa: PLC0415 (imports torch, which feeding does without)
    from widthwise.search.problem import load_problem  # noqa: PLC0415

    problem = load_problem(load_config(training_search(jobs, epochs)))
    candidates = np.concatenate(list(problem.space.enumerate()))
    start = time.perf_counter()
    with judge_of(problem) as (judge, _):
        workers = getattr(judge, "workers", None)
        while workers is not None and workers.ready < jobs:
            workers.wait(1.0)
        processes = workers.processes if workers is not None else []
        up, own, theirs = time.perf_counter(), time.process_time(), [busy_seconds(pid) for pid in processes]
        results = judge(candidates)
        end, own = time.perf_counter(), time.process_time() - own
        theirs = [busy_seconds(pid) - before for pid, before in zip(processes, theirs, strict=True)]
    assert not results.failures
    return {"clock": end - up, "whole": end - start, "processor": max(theirs, default=0.0) + own}


def busy_seconds(process: int) -> float:
    """Processor time of another process (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def training_search(jobs: int, epochs: int) -> dict[str, Any]:
    """Widths of a network of the digits, trained from random weights."""
    return {
        "model": "digits-cnn",
        "dataset": "digits",
        "search": {
            "search_space": {
                "name": "graph/width",
                "setup": {"by": "name"},
                "seed": {
                    "seq_blocks_0": {"config": {"channel_multiplier": [0.5, 1, 1.5, 2]}},
                    "seq_blocks_4": {"config": {"channel_multiplier": [0.5, 1, 1.5, 2]}},
                },
            },
            "strategy": {
                "name": "grid",
                "setup": {"n_jobs": jobs},
                "metrics": {
                    "accuracy": {"direction": "maximize"},
                    "parameters": {"direction": "minimize"},
                },
            },
            "training": {"epochs": epochs},
        },
    }


class InstantWorkers:
    """Workers whose work takes no time: messages are packed and unpacked as for real ones, on both sides."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._answers: deque[Answer] = deque()
        self.elsewhere = 0.0  # seconds of what would be done in the workers

    def give(self, part: Part, candidates: IntArray) -> bool:
        """Every worker is free until all have something."""
        if len(self._answers) >= self.count:
            return False
        message = pack_candidates(candidates)
        start = time.thread_time()
        found = unpack_candidates(message)
        accuracy = 1 - np.exp(-found.sum(axis=1) / 10)
        answer = pack_results(Results(dict.fromkeys(METRICS, accuracy)))
        self.elsewhere += time.thread_time() - start
        outcome = unpack_results(answer)
        self._answers.append(Answer(part, outcome))
        return True

    def wait(self, seconds: float | None) -> list[Answer]:
        """The first that is done, as they would come in."""
        del seconds
        return [self._answers.popleft()]

    def drop(self, part: Part) -> None:
        """Nobody is late."""

    def refresh(self) -> None:
        """Nobody comes or goes."""

    def close(self) -> None:
        """Nobody is there."""


def feed() -> None:
    """Candidates a second for numbers of workers and batches, and how busy workers are then."""
    rates: dict[tuple[int, int], float] = {}
    for name in ("random", "brute-force"):
        print(f"\ncandidates for a second of the driver's processor time, strategy {name}")
        print(f"{'workers':<9}" + "".join(f"{f'{each} each':>12}" for each in EACH) + "   (of a batch)")
        for count in WORKERS:
            rates |= {(count, each): feed_rate(name, count, each) for each in EACH}
            print(f"{count:<9}" + "".join(f"{rates[count, each]:>12,.0f}" for each in EACH), flush=True)
    print("\nshare of their time that workers are busy (simulated), 1 / 4 / 16 candidates of each in a batch")
    print(f"{'workers':<9}" + "".join(f"{f'{seconds:g} s each':>20}" for seconds in TAKES))
    for count in WORKERS:
        cells = [
            " / ".join(f"{busy(count, each, seconds, 1 / rates[count, 1]):.0%}" for each in (1, 4, 16))
            for seconds in TAKES
        ]
        print(f"{count:<9}" + "".join(f"{cell:>20}" for cell in cells))


def busy(count: int, each: int, seconds: float, driver: float) -> float:
    """The share of their time that workers evaluate; the driver takes `driver` seconds for a candidate."""
    rng = np.random.default_rng(0)
    worked = passed = 0.0
    for _ in range(SIMULATED_BATCHES):
        takes = rng.lognormal(np.log(seconds), SPREAD, count * each)
        free = [0.0] * count  # when each worker has nothing to do any more; a heap
        for number, take in enumerate(takes):
            sent = max(free[0], number * driver / 2)  # half of what the driver does comes before, half after
            heapq.heapreplace(free, sent + take)
        worked += takes.sum()
        passed += max(free) + len(takes) * driver / 2
    return worked / (count * passed)


def feed_rate(name: str, count: int, each: int) -> float:
    """Candidates a second with this many workers that get so many candidates in a batch."""
    workers = InstantWorkers(count)
    evaluator = ParallelEvaluator(workers, metrics=METRICS, pace=Pace(trains=each == 1, affordable=1))
    made = strategy(name, SPACE, objectives=AIM.directions, seed=0)
    record = StudyRecord("feed", SPACE, tuple(map(find_metric, METRICS)), StudySettings(AIM))
    with (
        tempfile.TemporaryDirectory() as folder,
        Store.create(Path(folder) / "study.db") as store,
        StudyWriter(store, store.create_study(record)) as writer,
    ):
        limits = Limits(trials=FEED_AT_MOST, timeout=FEED_SECONDS)
        start = time.process_time()
        study = run_search(made, evaluator, writer, limits=limits, batch_size=count * each)
        seconds = time.process_time() - start - workers.elsewhere
    return study.summary.trials / seconds


if __name__ == "__main__":
    main()
