"""Trials stored a second, and resuming a study of a million: ours beside Optuna's storages.

    python benchmarks/store.py [--trials 200000] [--resume 1000000] [--optuna 500] [--postgres URL]

Each trial has 12 decisions of 4 choices and 5 metrics. Optuna's storages are written the way a search writes
them, one trial after another through ask and tell; they know no other. PostgreSQL is measured where a URL is
given.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.metrics.catalogue import find_metric
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.goals.objective import Objective
from widthwise.search.counts import Counts
from widthwise.search.resuming import resume as bring_back
from widthwise.spaces.space import Decision, Space
from widthwise.strategies.protocol import ask_and_tell
from widthwise.study.front import FrontRows
from widthwise.study.store import Store, StudyRecord, StudyWriter
from widthwise.study.store.settings import StudySettings

METRICS = ("accuracy", "loss", "model_size", "average_bitwidth", "bops")
SPACE = Space(tuple(Decision(f"layer {i}", (2, 4, 8, "NA")) for i in range(12)))
AIM = Aim((Objective(find_metric("accuracy"), "maximize"), Objective(find_metric("model_size"), "minimize")))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200_000)
    parser.add_argument("--resume", type=int, default=1_000_000)
    parser.add_argument("--optuna", type=int, default=500, help="trials for each of Optuna's storages")
    parser.add_argument("--postgres", help="URL of an empty database")
    parser.add_argument("--resume-here", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.resume_here:
        resume(given.resume_here)
        return
    targets = {"SQLite": None, "PostgreSQL": given.postgres}
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'storage':<34}{'trials':>10}{'a commit':>10}{'trials / s':>12}")
        for name, url in targets.items():
            if name == "PostgreSQL" and url is None:
                print(f"{'widthwise, PostgreSQL':<34}  (give --postgres URL)")
                continue
            for batch in (4096, 64, 1):
                count = given.trials if batch > 1 else min(given.trials, 5000)
                target = url or Path(folder) / f"{batch}.db"
                rate = write(target, f"write {batch}", count, batch)
                print(f"{'widthwise, ' + name:<34}{count:>10,}{batch:>10,}{rate:>12,.0f}")
        for name, rate in optuna_rates(Path(folder), given.optuna):
            print(f"{'Optuna, ' + name:<34}{given.optuna:>10,}{1:>10,}{rate:>12,.0f}")
        for name, url in targets.items():
            if name == "SQLite" or url is not None:
                target = url or Path(folder) / "resume.db"
                write(target, "resume", given.resume, 4096)
                command = [sys.executable, __file__, "--resume-here", str(target)]
                said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                print(f"resume of {given.resume:,} trials, {name}: {said.strip()}")


def write(target: str | Path, name: str, count: int, batch: int) -> float:
    """Trials a second, written in batches through the store."""
    rng = np.random.default_rng(0)
    candidates = SPACE.sample(count, rng)
    counts = rng.integers(0, 100_000, (count, 3))
    columns = [*rng.random((2, count)), *counts.T.astype(np.float64)]
    fresh = isinstance(target, str) or not target.exists()
    record = StudyRecord(name, SPACE, tuple(map(find_metric, METRICS)), StudySettings(AIM))
    with (
        Store.create(target) if fresh else Store.open(target) as store,
        StudyWriter(store, store.create_study(record)) as writer,
    ):
        start = time.perf_counter()
        for low in range(0, count, batch):
            rows = slice(low, low + batch)
            metrics = {name: values[rows] for name, values in zip(METRICS, columns, strict=True)}
            writer.append(candidates[rows], metrics, {}, seconds=0.1, elapsed=1.0)
        return count / (time.perf_counter() - start)


class Listener:
    """A strategy that is told everything and makes nothing of it."""

    batch, learns = 4096, True
    finished = None

    def ask(self, n: int) -> IntArray:
        """Nothing."""
        del n
        return np.empty((0, len(SPACE.decisions)), dtype=np.int64)

    def tell(self, candidates: IntArray, values: FloatArray) -> None:
        """Listen."""

    def replay(self, batches: Iterable[tuple[IntArray, FloatArray]]) -> None:
        """Listen to all."""
        ask_and_tell(self, batches)


def resume(target: str) -> None:
    """Tell a strategy all trials, and rebuild the front and the counts; in a process of its own."""
    start, busy = time.perf_counter(), time.process_time()
    with (
        Store.open(target if "://" in target else Path(target)) as store,
        StudyWriter(store, store.find("resume")) as writer,
    ):
        front, tally = FrontRows(writer.study), Counts()
        bring_back(Listener(), writer, front, tally)
    took, busy = time.perf_counter() - start, time.process_time() - busy
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    counts = f"{tally.summary.trials:,} trials, front of {len(front.values)}"
    print(f"{took:.1f} s ({busy:.1f} s busy), {memory:.0f} MB in all; {counts}")


def optuna_rates(folder: Path, count: int) -> list[tuple[str, float]]:
    """Trials a second of Optuna's own storages, with a sampler that costs nearly nothing."""
    import optuna  # noqa: PLC0415 (here, because it would count into the memory of a resume)

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storages = {
        "in memory (stores nothing)": None,
        "RDB (SQLite)": optuna.storages.RDBStorage(f"sqlite:///{folder / 'optuna.db'}"),
        "journal (file)": optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend(os.fspath(folder / "optuna.log"))
        ),
    }
    rates = []
    for name, storage in storages.items():
        sampler = optuna.samplers.RandomSampler(seed=0)
        study = optuna.create_study(storage=storage, sampler=sampler, directions=["maximize", "minimize"])
        start = time.perf_counter()
        for _ in range(count):
            trial = study.ask()
            for decision in SPACE.decisions:
                trial.suggest_int(decision.name, 0, len(decision.choices) - 1)
            study.tell(trial, [0.5, 100.0])
        rates.append((name, count / (time.perf_counter() - start)))
    return rates


if __name__ == "__main__":
    main()
