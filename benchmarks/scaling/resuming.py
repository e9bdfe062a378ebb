"""What it takes to bring every strategy back to where a stored search stopped."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.scaling.measuring import alone, line
from benchmarks.scaling.stores import ONE, SPACE, TWO, fill

SECONDS = 5.0
NAMES = ("brute-force", "grid", "random", "local", "frontier", "tpe", "nsga2", "nsga3", "qmc", "gp", "cmaes")
PLAIN = ("random", "brute-force")  # whose own proposals can be had by the million


def resuming(trials: int = 100_000) -> None:
    """Each strategy, at so many stored trials in batches of its natural size."""
    print(f"\nresuming {trials:,} stored trials, processor seconds (and of the first proposal after it)")
    for name in NAMES:
        found = alone(__name__, "resumed", name, trials)
        line(
            f"{name} (then {found['ask']:.2f} s, {found['peak']:.0f} MB)",
            found["seconds"],
            "s",
            f"<= {SECONDS:g} s",
            found["seconds"] <= SECONDS,
        )


def resumed(name: str, trials: int) -> dict[str, Any]:
    """Seconds of a resume, and of asking once."""
    from widthwise.search.ledger import Ledger
    from widthwise.search.limits import Limits
    from widthwise.strategies import strategy
    from widthwise.study.store import Store, StudyWriter

    aim = ONE if name == "cmaes" else TWO
    made = strategy(name, SPACE, objectives=aim.directions, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), trials, aim=aim, batch=made.batch, proposed_by=name)
        began = time.process_time()
        with Store.open(Path(folder) / "study.db") as store, StudyWriter(store, store.find()) as writer:
            Ledger(writer, Limits(), "all").resume(made)
            seconds = time.process_time() - began
            began = time.process_time()
            made.ask(
                0 if name == "gp" else 1
            )  # a Gaussian process of as many would need the memory of a cluster
            return {"seconds": seconds, "ask": time.process_time() - began}
