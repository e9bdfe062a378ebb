"""What a strategy expected of its trials before they were judged, as a run folder keeps it."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from widthwise.core.errors import BROKEN, UserError
from widthwise.core.files import write_atomically
from widthwise.core.finite import finite
from widthwise.core.inside import read_inside
from widthwise.study.run_files import EXPECTED

if TYPE_CHECKING:
    from widthwise.core.arrays import FloatArray, IntArray

MOST_BYTES = 2**28

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeptExpected:
    """objectives: whose values are told. values: by trial number one each, as strategies are told them (to be
    maximised, scaled); NaN where nothing was expected.
    """

    objectives: tuple[str, ...] = ()
    values: Mapping[int, tuple[float, ...]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Into the run folder; null stands for NaN."""
        content = {"objectives": self.objectives, "values": {str(n): row for n, row in self.values.items()}}
        text = json.dumps(finite(content), separators=(",", ":"), allow_nan=False)
        write_atomically(folder / EXPECTED, text.encode() + b"\n")


class Expectations:
    """Takes in what is expected while a search runs, and puts it into the run folder."""

    def __init__(self, folder: Path, objectives: Sequence[str]) -> None:
        """Goes on with what the folder keeps already."""
        self._folder, self._objectives = folder, tuple(objectives)
        kept = read_expected(folder)
        self._values = dict(kept.values) if kept.objectives == self._objectives else {}
        self._written = len(self._values)

    def add(self, numbers: IntArray, values: FloatArray) -> None:
        """Of the trials with these numbers [k], values [k, objectives]; rows without any are not kept."""
        for number, row in zip(numbers.tolist(), values.tolist(), strict=True):
            if any(math.isfinite(value) for value in row):
                self._values[number] = tuple(row)

    def write(self) -> None:
        """Where anything came; a warning where it can't be written, as that ends no search."""
        if len(self._values) == self._written:
            return
        self._written = len(self._values)
        try:
            KeptExpected(self._objectives, self._values).write(self._folder)
        except UserError as error:
            logger.warning("%s", error)


def read_expected(folder: Path | None) -> KeptExpected:
    """What a run folder keeps; nothing where it keeps none. Raises UserError where that is broken."""
    try:
        content = None if folder is None else read_inside(folder, EXPECTED, most=MOST_BYTES)
        if folder is None or content is None:
            return KeptExpected()
        stored = json.loads(content)
        objectives = tuple(map(str, stored["objectives"]))
        values = {
            int(number): tuple(math.nan if value is None else float(value) for value in row)
            for number, row in stored["values"].items()
        }
        if any(len(row) != len(objectives) for row in values.values()):
            raise ValueError
        return KeptExpected(objectives, values)
    except BROKEN as error:
        raise UserError(f"{folder}/{EXPECTED}: is broken; delete it, the search stays as it is") from error
