"""What `widthwise explain` left in a run folder, as it is shown: single changes and pairs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from widthwise.core.errors import UserError

EXPLAINED = "explained.json"


@dataclass(frozen=True)
class Change:
    """One decision changed around a centre: to which choice, and the difference of each metric."""

    decision: str
    choice: str
    differences: Mapping[str, float]


@dataclass(frozen=True)
class Explained:
    """centre: what was changed. changes: one at a time. names, pairs [n][n]: what two at once add to the sum
    of both, of `metric`; empty where pairs were not evaluated."""

    centre: str
    metric: str
    changes: tuple[Change, ...]
    names: tuple[str, ...]
    pairs: tuple[tuple[float, ...], ...]


def read_explained(folder: Path | None) -> Explained | None:
    """What a run folder keeps; None where it keeps none. Raises UserError where that is broken."""
    if folder is None or not (folder / EXPLAINED).is_file():
        return None
    path = folder / EXPLAINED
    try:
        return _explained(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise UserError(f"{path}: is broken; delete it, `widthwise explain` writes it again") from error


def _explained(stored: Any) -> Explained:
    changes = tuple(
        Change(
            str(each["decision"]),
            str(each["choice"]),
            {str(k): float(v) for k, v in each["differences"].items()},
        )
        for each in stored["changes"]
    )
    pairs = tuple(tuple(float(x) for x in row) for row in stored.get("pairs", ()))
    names = tuple(map(str, stored.get("names", ())))
    if any(len(row) != len(names) for row in pairs):
        raise ValueError("pairs and names differ")
    return Explained(str(stored["centre"]), str(stored["metric"]), changes, names, pairs)
