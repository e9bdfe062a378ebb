"""Figures of a piece of work in a process of its own: processor time, and memory at its greatest."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from widthwise.core.children import environment

CODE = """
import json, sys, importlib
from pathlib import Path
made = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])(*json.loads(sys.argv[3]))
(peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(json.dumps({**made, "peak": int(peak.split()[1]) / 1024}))
"""  # getrusage's figure of a child begins with what its parent had


def alone(module: str, function: str, *arguments: Any) -> dict[str, Any]:
    """What a function of a module here gives in a fresh process, and that process's `peak` memory in MB."""
    command = [sys.executable, "-c", CODE, module, function, json.dumps(arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment())
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def line(what: str, found: float, unit: str, most: float | None = None, least: float | None = None) -> None:
    """A figure beside its aim."""
    aim = f"<= {most:g}" if most is not None else f">= {least:g}"
    met = found <= most if most is not None else found >= (least or 0)
    print(f"{what:<56}{found:>10.2f} {unit:<3} aim {aim:<8} {'met' if met else 'NOT MET'}", flush=True)
