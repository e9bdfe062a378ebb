"""Figures of a picked trial on test data, which the search never saw, as a run folder keeps them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from widthwise.core.errors import BROKEN, UserError
from widthwise.core.files import write_atomically
from widthwise.core.inside import read_inside
from widthwise.study.run_files import TESTED
from widthwise.study.sureness import FLOAT

MOST_BYTES = 2**24


@dataclass(frozen=True)
class KeptTests:
    """samples: of the test data. figures, errors: qualities by trial number, and the standard error of each.

    `FLOAT` of `study.sureness` stands for the float network.
    """

    samples: int = 0
    figures: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    errors: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Into the run folder."""
        content: dict[str, Any] = {
            "samples": self.samples,
            "figures": {str(number): dict(found) for number, found in self.figures.items()},
            "errors": {str(number): dict(found) for number, found in self.errors.items()},
        }
        write_atomically(folder / TESTED, json.dumps(content, indent=1, allow_nan=False).encode() + b"\n")


def read_tests(folder: Path | None) -> KeptTests:
    """What a run folder keeps; nothing where it keeps none. Raises UserError where that is broken."""
    content = None if folder is None else read_inside(folder, TESTED, most=MOST_BYTES)
    if folder is None or content is None:
        return KeptTests()
    try:
        stored = json.loads(content)
        return KeptTests(int(stored["samples"]), _by_number(stored["figures"]), _by_number(stored["errors"]))
    except BROKEN as error:
        raise UserError(f"{folder / TESTED}: is broken; delete it, the search stays as it is") from error


def tested_columns(kept: KeptTests, numbers: Sequence[int]) -> dict[str, list[float]]:
    """`test.accuracy`, `test.accuracy_error` …: a value for each of the numbers, NaN where none is known."""
    picked = {number: found for number, found in kept.figures.items() if number != FLOAT}
    columns: dict[str, list[float]] = {}
    for name in dict.fromkeys(name for found in picked.values() for name in found):
        for column, known in ((f"test.{name}", kept.figures), (f"test.{name}_error", kept.errors)):
            columns[column] = [known.get(int(number), {}).get(name, math.nan) for number in numbers]
    return columns


def _by_number(stored: Mapping[str, Mapping[str, float]]) -> dict[int, dict[str, float]]:
    return {
        int(number): {str(name): float(value) for name, value in found.items()}
        for number, found in stored.items()
    }
