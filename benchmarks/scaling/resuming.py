"""What it takes to bring every strategy back to where a stored search stopped."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.scaling.measuring import alone, line
from benchmarks.scaling.stores import ONE, SPACE, TWO

from widthwise.search.ledger import Ledger
from widthwise.search.limits import Limits
from widthwise.strategies import STRATEGIES, strategy
from widthwise.study.store import Store, StudyWriter

SECONDS = 5.0


def resuming(trials: int = 100_000) -> None:
    """Each strategy, at so many stored trials in batches of its natural size."""
    print(f"\nprocessor seconds to resume {trials:,} stored trials (in brackets: to propose one, memory)")
    for name in STRATEGIES:
        found = alone(__name__, "resumed", name, trials)
        line(f"{name} ({found['ask']:.2f} s, {found['peak']:.0f} MB)", found["seconds"], "s", SECONDS)


def resumed(name: str, trials: int) -> dict[str, Any]:
    """Seconds of a resume, and of asking once."""
    aim = ONE if name == "cmaes" else TWO
    made = strategy(name, SPACE, objectives=aim.directions, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        alone("benchmarks.scaling.stores", "filled", folder, trials, name == "cmaes", made.batch, name)
        began = time.process_time()
        with Store.open(path / "study.db") as store, StudyWriter(store, store.find()) as writer:
            Ledger(writer, Limits(), "all").resume(made)
            seconds, began = time.process_time() - began, time.process_time()
            made.ask(0 if name == "gp" else 1)  # a Gaussian process of 10^5 trials has no machine
            return {"seconds": seconds, "ask": time.process_time() - began}
