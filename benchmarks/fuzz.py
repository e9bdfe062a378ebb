"""Many inputs that nobody meant: each answer must be a result or one line of error.

    python benchmarks/fuzz.py [--inputs 10000] [--seed 0] [--only config]

Inputs are shared out over configs, data files, checkpoints, run folders, databases, exported folders, reports
of tools and command lines (a twentieth: some search). An answer may take 10 s and 1 GiB.
What breaks is shrunk to the smallest input that does, and printed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from math import ceil
from pathlib import Path

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from helpers.fuzzing import TARGETS

COMMAND_LINE_SHARE = 20
SLOW = ("run folder", "database", "export")  # each answer is many files read: they get half as many inputs
SECONDS, MEMORY = 10, 2**30  # of an answer


def main() -> int:
    """Print a table; 1 where anything broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(TARGETS))
    given_options = parser.parse_args()
    names = [given_options.only] if given_options.only else list(TARGETS)
    few = max(given_options.inputs // COMMAND_LINE_SHARE, 1)
    files = [name for name in names if name != "command line"]
    shares = sum(1 if name in SLOW else 2 for name in files)
    unit = (given_options.inputs - few * ("command line" in names)) / max(shares, 1)
    broken = total = 0
    print(f"{'target':<14}{'inputs':>8}{'seconds':>9}  result")
    for name in names:
        wanted = few if name == "command line" else ceil(unit if name in SLOW else 2 * unit)
        count, took, problem = fuzz(name, wanted, given_options.seed)
        total += count
        broken += problem is not None
        print(f"{name:<14}{count:>8,}{took:>9.1f}  {'ok' if problem is None else 'BROKEN'}", flush=True)
        if problem is not None:
            print(problem)
    print(f"{total:,} inputs, {broken} targets broken")
    return 1 if broken else 0


def fuzz(name: str, count: int, number: int) -> tuple[int, float, str | None]:
    """Inputs tried, seconds, and what broke."""
    tried = 0
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("error")
        folder = Path(place) / "place"

        @seed(number)
        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
            phases=[Phase.generate, Phase.shrink],
        )
        @given(st.data())
        def every_input(data: st.DataObject) -> None:
            nonlocal tried
            tried += 1
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            os.chdir(folder)
            with silence(), bounded():
                TARGETS[name](data, folder)

        try:
            every_input()
        except Exception:
            return tried, time.monotonic() - start, traceback.format_exc()
        finally:
            os.chdir("/")
    return tried, time.monotonic() - start, None


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """An answer takes no more than SECONDS and no more than MEMORY: else TimeoutError, MemoryError."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"no answer after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    start = memory("VmRSS")
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    if (grown := memory("VmHWM") - start) > MEMORY:
        raise MemoryError(f"took {grown / 2**20:,.0f} MiB")


def memory(what: str) -> int:
    """Bytes of this process, by a name of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Nothing of what commands print is seen."""
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


if __name__ == "__main__":
    sys.exit(main())
