"""The quality of a picked trial in detail, beside the float network's, as a run folder keeps it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import BROKEN, UserError
from widthwise.core.files import write_atomically
from widthwise.core.finite import finite
from widthwise.core.inside import read_inside
from widthwise.metrics.quality.detail.found import Confusion, Histogram, QualityDetail, Row, Table
from widthwise.study.run_files import DETAIL

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_BYTES = 2**24


@dataclass(frozen=True)
class KeptDetail:
    """Of one trial; task: by which it was judged. samples: how many, of a `part` of the data ("val")."""

    trial: int
    task: str
    part: str
    samples: int
    detail: QualityDetail

    def write(self, folder: Path) -> None:
        """Into the run folder; null stands for NaN."""
        text = json.dumps(finite(asdict(self)), ensure_ascii=False, allow_nan=False)
        write_atomically(folder / DETAIL, text.encode() + b"\n")


def read_detail(folder: Path | None) -> KeptDetail | None:
    """What a run folder keeps; None where it keeps none. Raises UserError where that is broken."""
    content = None if folder is None else read_inside(folder, DETAIL, most=MOST_BYTES)
    if folder is None or content is None:
        return None
    try:
        stored = json.loads(content)
        detail = stored["detail"]
        found = QualityDetail(
            tuple(map(_table, detail["tables"])),
            None if detail["confusion"] is None else _confusion(detail["confusion"]),
            None if detail["histogram"] is None else _histogram(detail["histogram"]),
            tuple(map(str, detail["notes"])),
        )
        return KeptDetail(
            int(stored["trial"]), str(stored["task"]), str(stored["part"]), int(stored["samples"]), found
        )
    except BROKEN as error:
        raise UserError(f"{folder / DETAIL}: is broken; delete it, the search stays as it is") from error


def _table(stored: Mapping[str, Any]) -> Table:
    figures = tuple(map(str, stored["figures"]))
    rows = []
    for row in stored["rows"]:
        pick, beside = _numbers(row["pick"]), _numbers(row["beside"])
        if len(pick) != len(figures) or len(beside) not in (0, len(figures)):
            raise ValueError(f"{len(pick)} and {len(beside)} figures for {len(figures)}")
        rows.append(Row(str(row["name"]), pick, beside))
    return Table(str(stored["title"]), str(stored["of"]), figures, tuple(rows))


def _confusion(stored: Mapping[str, Any]) -> Confusion:
    classes = tuple(map(str, stored["classes"]))
    pick, beside = (tuple(_counts(row) for row in stored[name]) for name in ("pick", "beside"))
    for matrix in (pick, *([beside] if beside else [])):
        if [len(row) for row in matrix] != [len(classes)] * len(classes):
            raise ValueError(f"no square of {len(classes)} classes")
    return Confusion(classes, pick, beside)


def _histogram(stored: Mapping[str, Any]) -> Histogram:
    edges, pick, beside = _numbers(stored["edges"]), _counts(stored["pick"]), _counts(stored["beside"])
    if not pick or len(edges) != len(pick) + 1 or len(beside) not in (0, len(pick)):
        raise ValueError(f"{len(edges)} edges for {len(pick)} counts")
    return Histogram(str(stored["title"]), edges, pick, beside)


def _numbers(stored: Iterable[Any]) -> tuple[float, ...]:
    return tuple(math.nan if value is None else float(value) for value in stored)


def _counts(stored: Iterable[Any]) -> tuple[int, ...]:
    return tuple(map(int, stored))
