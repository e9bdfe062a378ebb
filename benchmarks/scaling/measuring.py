"""Figures of a piece of work in a process of its own: processor time, and memory at its greatest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any


def alone(module: str, function: str, *arguments: Any) -> dict[str, Any]:
    """What `function` of a module here returns, called in a fresh process, and that process's `peak` in MB."""
    code = (
        "import json, resource, sys, importlib\n"
        f"made = getattr(importlib.import_module({module!r}), {function!r})(*json.loads(sys.argv[1]))\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "print(json.dumps({**made, 'peak': peak}))"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(arguments)], capture_output=True, text=True, env=environment
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def line(what: str, found: float, unit: str, aim: str, met: bool) -> None:
    """A figure beside its aim."""
    print(f"{what:<52}{found:>10.2f} {unit:<4} aim {aim:<12}{'met' if met else 'NOT MET'}", flush=True)
