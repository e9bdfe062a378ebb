"""A million trials read by the commands, and ten million gone through with only the front kept."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.scaling.measuring import alone, line
from benchmarks.scaling.stores import TWO, fill

from widthwise.core.arrays import IntArray
from widthwise.core.children import environment
from widthwise.evaluators.protocol import Results
from widthwise.search.limits import Limits
from widthwise.search.loop import run_search
from widthwise.spaces.space import Decision, Space
from widthwise.strategies import strategy
from widthwise.study.store import Store, StudyRecord, StudyWriter
from widthwise.study.store.settings import StudySettings

SECONDS = {"report": 5.0, "trials": 15.0, "importance": 5.0}
COMMAND = """
import sys, time
from widthwise.cli import main
if main(sys.argv[1:]):
    sys.exit(1)
from pathlib import Path
(peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(time.process_time(), int(peak.split()[1]) / 1024, file=sys.stderr)
"""  # the system's figure of a child begins with what its parent had
RESUME, MEGABYTES, MORE = 5.0, 300.0, 30.0
WHOLE = Space(tuple(Decision(f"layer {i}", tuple(range(2, 12))) for i in range(7)))  # 10^7


def million(trials: int = 1_000_000) -> None:
    """Processor time and memory of each, in a process of its own."""
    print(f"\n{trials:,} trials")
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        run.mkdir()
        (run / "config.toml").write_text("")
        fill(run, trials)
        for name, most in SECONDS.items():
            more = ["--out", f"{folder}/trials.csv"] if name == "trials" else []
            seconds, memory = of_command(name, str(run), *more)
            line(f"widthwise {name}", seconds, "s", most)
            line(f"widthwise {name}, memory", memory, "MB", MEGABYTES)
    found = alone("benchmarks.scaling.resuming", "resumed", "random", trials)
    line("resume of random", found["seconds"], "s", RESUME)
    line("resume of random, memory", found["peak"], "MB", MEGABYTES)


def of_command(*arguments: str) -> tuple[float, float]:
    """Processor seconds and megabytes of a command."""
    command = [sys.executable, "-c", COMMAND, *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    seconds, peak = done.stderr.split()[-2:]
    return float(seconds), float(peak)


def ten_million() -> None:
    """Brute force to its end, keeping the front, and the same for the first tenth."""
    some, whole = (alone(__name__, "gone_through", count) for count in (WHOLE.size // 10, WHOLE.size))
    rate = whole["trials"] / whole["seconds"]
    print(f"\nbrute force of {whole['trials']:,} with keep = front: {whole['ended']}; {rate:,.0f} a second")
    line("memory beyond that for a tenth of them", whole["peak"] - some["peak"], "MB", MORE)


def gone_through(count: int) -> dict[str, Any]:
    """Brute force of WHOLE with an evaluator that takes no time to speak of."""

    rng = np.random.default_rng(0)
    sizes, weights = rng.random(len(WHOLE.decisions)), rng.random(len(WHOLE.decisions))

    def evaluate(candidates: IntArray) -> Results:
        size, told = candidates @ sizes, candidates @ weights
        return Results({"accuracy": 1 - np.exp(-told / 30), "model_size": size})

    columns = tuple(objective.metric for objective in TWO.objectives)
    made = strategy("brute-force", WHOLE, objectives=TWO.directions, seed=0)
    with (
        tempfile.TemporaryDirectory() as folder,
        Store.create(Path(folder) / "study.db") as store,
        StudyWriter(
            store, store.create_study(StudyRecord("all", WHOLE, columns, StudySettings(TWO)))
        ) as writer,
    ):
        began = time.process_time()
        study = run_search(made, evaluate, writer, keep="front", limits=Limits(trials=count))
    seconds = time.process_time() - began
    return {"seconds": seconds, "trials": study.summary.trials, "ended": study.finished}
