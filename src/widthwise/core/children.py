"""Processes that work for this one: a module of ours, run with what can be imported here and nothing else."""

from __future__ import annotations

import os
import sys

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
"""Environment variables that keep numeric libraries from starting threads of their own."""


def command_of(module: str, *arguments: str) -> list[str]:
    """What runs a module; -P: without the working directory on its path."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """One thread, and the same modules as here can be imported."""
    paths = os.pathsep.join(os.path.abspath(path) for path in sys.path)  # noqa: PTH100
    return {**os.environ, **ONE_THREAD, "PYTHONPATH": paths}
