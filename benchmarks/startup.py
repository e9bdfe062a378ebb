"""How long the command line takes to answer where there is nothing to compute.

    python benchmarks/startup.py [--times 15]

Medians of wall time over fresh processes, beside an empty Python and beside importing torch. Help and config
errors should take less than 0.3 s.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from widthwise.config import example_text

# modules are compiled once and for all, as after any installation
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
CLI = "import sys; from widthwise.cli import main; sys.exit(main(sys.argv[1:]))"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=15, help="processes of each kind")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wrong = Path(folder) / "wrong.toml"
        wrong.write_text(example_text("jsc-tiny").replace("data_in_width", "data_in_widht"))
        commands = {
            "python -c pass": ["-c", "pass"],
            "widthwise --help": ["-c", CLI, "--help"],
            "widthwise search --help": ["-c", CLI, "search", "--help"],
            "widthwise search, an error in the config": ["-c", CLI, "search", str(wrong)],
            "python -c 'import torch'": ["-c", "import torch"],
        }
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for arguments in commands.values():
            seconds([sys.executable, *arguments])
        for _ in range(given.times):  # in turns, so that what else the machine does hits all alike
            for name, arguments in commands.items():
                taken[name].append(seconds([sys.executable, *arguments]))
    print(f"{'command':42}  median     least      most")
    for name, times in taken.items():
        shown = (statistics.median(times), min(times), max(times))
        print(f"{name:42}" + "".join(f"  {1000 * value:5.0f} ms" for value in shown))


def seconds(command: list[str]) -> float:
    """Wall time of one process."""
    start = time.perf_counter()
    subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, env=ENVIRONMENT
    )
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
