"""What tools measured of a run's trials, as its folder keeps it: a file for each trial and tool.

Files of their own, so that two programs that measure at once lose nothing of one another's.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from widthwise.core.errors import UserError
from widthwise.core.files import write_atomically
from widthwise.core.inside import names_inside, read_inside
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.measured import MEASURED as KNOWN
from widthwise.metrics.measured import TOOLS
from widthwise.study.looks import shown
from widthwise.study.run_files import MEASURED

NAME = re.compile(r"trial-(\d{1,18})\.(" + "|".join(TOOLS) + r")\.json")
MOST_BYTES = 2**20
MOST_CHARACTERS = 500  # of a text


@shown
@dataclass(frozen=True)
class Measured:
    """What one tool found of one trial's network.

    tool: its key in `TOOLS`. version: as it tells it. metrics: by names that the tool has. notes: what
    else is to know, a sentence each. made: when, UTC in ISO 8601.
    """

    tool: str
    version: str
    metrics: Mapping[str, float]
    notes: tuple[str, ...] = ()
    made: str = ""

    @property
    def label(self) -> str:
        """What the tool is called, and what its figures are not."""
        return TOOLS[self.tool].label

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "tool": self.tool,
            "label": self.label,
            "version": self.version,
            "metrics": dict(self.metrics),
            "notes": list(self.notes),
            "made": self.made,
        }


def keep_measured(folder: Path, number: int, found: Measured) -> None:
    """Into the run folder, in place of what the same tool found of the trial before."""
    made = found.made or datetime.now(UTC).isoformat(timespec="seconds")
    content = found.as_json() | {"made": made}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    path = folder / MEASURED / f"trial-{number}.{found.tool}.json"
    write_atomically(path, text.encode() + b"\n", within=folder)


def read_measured(folder: Path | None) -> dict[int, tuple[Measured, ...]]:
    """By trial, in the order of its number and the tools; UserError where a file is broken."""
    if folder is None:
        return {}
    found: dict[int, dict[str, Measured]] = {}
    for name in names_inside(folder, MEASURED):
        if (match := NAME.fullmatch(name)) is not None:
            found.setdefault(int(match[1]), {})[match[2]] = _read(folder, f"{MEASURED}/{name}", match[2])
    order = list(TOOLS)
    return {
        number: tuple(found[number][tool] for tool in sorted(found[number], key=order.index))
        for number in sorted(found)
    }


def measured_columns(
    measured: Mapping[int, Sequence[Measured]], numbers: Sequence[int], *, taken: Collection[str]
) -> dict[str, list[float]]:
    """A column for each metric that was measured of any trial, NaN where it was not of one of these numbers.

    One that is named as a column that is taken gets "measured." before it.
    """
    of_trial = {
        number: {name: value for each in found for name, value in each.metrics.items()}
        for number, found in measured.items()
    }
    names = [name for name in KNOWN if any(name in found for found in of_trial.values())]
    return {
        f"measured.{name}" if name in taken else name: [
            of_trial.get(int(number), {}).get(name, math.nan) for number in numbers
        ]
        for name in names
    }


def metrics_of_tools(
    measured: Mapping[int, Sequence[Measured]], rule: str, *, taken: Collection[str]
) -> list[Metric]:
    """The metrics of tools that were measured of some trial, by the names of their columns.

    Raises UserError where a rule names one that was measured of none.
    """
    columns = measured_columns(measured, [], taken=taken)
    for name in KNOWN:
        if name not in columns and name not in taken and re.search(rf"\b{name}\b", rule):
            raise UserError(
                f"pick: {name} was measured of no trial; widthwise certify or import-report measures it"
            )
    return [replace(KNOWN[name.removeprefix("measured.")], name=name) for name in columns]


def _read(folder: Path, name: str, tool: str) -> Measured:
    try:
        stored = json.loads(read_inside(folder, name, most=MOST_BYTES) or b"")
        metrics = {str(name): float(value) for name, value in stored["metrics"].items()}
        if stored["tool"] != tool or not metrics.keys() <= TOOLS[tool].metrics.keys():
            raise ValueError
        if not all(math.isfinite(value) and value >= 0 for value in metrics.values()):
            raise ValueError
        notes = tuple(_plain(note) for note in stored["notes"])
        return Measured(tool, _plain(stored["version"]), metrics, notes, _plain(stored["made"]))
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
        raise UserError(f"{folder / name}: is broken; delete it, and measure the trial again") from error


def _plain(text: Any) -> str:
    """A short line; what would move a terminal's cursor is left out."""
    if not isinstance(text, str):
        raise TypeError
    return "".join(character for character in text[:MOST_CHARACTERS] if character.isprintable())
