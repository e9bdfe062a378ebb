"""Costs of one's own from a table, as configs and Python name it; the file is read when it is first asked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import inf
from pathlib import Path

from widthwise.core.errors import UserError
from widthwise.metrics.catalogue import METRICS, Direction, Metric


@dataclass(frozen=True)
class TableFile:
    """A CSV file of costs, see `widthwise.metrics.cost.table`; column: of the values, None: the only one."""

    path: str
    column: str | None = None

    @property
    def mark(self) -> str:
        """A short hash of what it says."""
        content = Path(self.path).expanduser().read_bytes()
        return f"{hashlib.blake2b(content, digest_size=8).hexdigest()} {self.column or ''}".strip()


def cost_table(
    path: str | Path,
    *,
    name: str | None = None,
    column: str | None = None,
    direction: Direction = "minimize",
    unit: str = "",
    low: float = 0.0,
    high: float = inf,
) -> Metric:
    """A cost of one's own from a CSV file, for `metrics` of `evaluate`, `search` and the evaluators.

    Args:
        path: of a table with a column `layer`, columns that tell its rows apart (`data_in`, `weight`, `bias`:
            formats or bits of an element; `size`, `input_size`: channels that go out and in), and one of
            values. A network costs the sum over the layers of the table. A layer's formats or sizes that the
            table has no row for are a UserError that names them.
        name: by default the file's, without its ending. column: the one of the values, where there are
            several.
        direction, unit, low, high: as `Metric` has them.
    """
    found = Path(path).stem if name is None else name
    if not found.isidentifier():
        raise UserError(f"metric {found!r}: is no name; give one, as cost_table(path, name='dsps')")
    if found in METRICS:
        raise UserError(f"metric {found}: is one of widthwise's; give yours another name")
    source = TableFile(str(path), column)
    return Metric(found, "cost", direction, unit, f"by the table {path}", low, high, source)
