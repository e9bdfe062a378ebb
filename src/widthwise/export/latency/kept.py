"""Latencies kept in a run's folder by structure, for this machine; read as data of anybody's."""

from __future__ import annotations

import json
import logging
import math
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from widthwise.core.errors import UserError
from widthwise.core.files import write_atomically
from widthwise.core.hashing import hash_value
from widthwise.core.inside import read_inside
from widthwise.core.threads import cores
from widthwise.metrics.timing import Timing

FILE = "latency.json"
MOST_BYTES = 16 * 2**20
CPU = Path("/proc/cpuinfo")
Structure = tuple[int, ...]

logger = logging.getLogger(__name__)


def machine_mark(timing: Timing, runtime: str) -> str:
    """A hash of all but the network that times follow from: processor, cores, versions, settings."""
    try:
        lines = CPU.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    model = next((line for line in lines if line.startswith("model name")), platform.processor())
    return hash_value([model, cores(), asdict(timing), runtime, version("torch")])


def read_kept(folder: Path, mark: str) -> tuple[float | None, dict[Structure, float]]:
    """The float network's microseconds and the ratios by structure; of another machine, or broken: none.

    A warning in the log says which.
    """
    path = folder / FILE
    try:
        content = read_inside(folder, FILE, most=MOST_BYTES)
        if content is None:
            return None, {}
        stored = json.loads(content)
        if stored["mark"] != mark:
            logger.warning("%s: is of another machine, or of other settings, so all is measured again", path)
            return None, {}
        ratios = {tuple(map(_whole, row)): _positive(ratio) for row, ratio in stored["ratios"]}
        return _positive(stored["float_microseconds"]), ratios
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        logger.warning("%s: is broken (%s), so all is measured again", path, type(error).__name__)
        return None, {}


def keep(folder: Path, mark: str, float_microseconds: float, ratios: Mapping[Structure, float]) -> None:
    """Writes them; a warning where that fails, as they can be measured again."""
    content = {
        "mark": mark,
        "float_microseconds": float_microseconds,
        "ratios": [[list(row), ratio] for row, ratio in ratios.items()],
    }
    try:
        write_atomically(folder / FILE, json.dumps(content, allow_nan=False).encode() + b"\n")
    except UserError as error:
        logger.warning("%s", error)


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueError
    return int(value)


def _positive(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or value <= 0:
        raise ValueError
    return float(value)
