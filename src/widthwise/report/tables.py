"""Tables for the terminal: metrics, formats, runs; text as it is, whatever it holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from widthwise.core.plain import plain
from widthwise.report.terminal import shown_number, shown_seconds

if TYPE_CHECKING:
    from rich.table import Table

    from widthwise.metrics.catalogue import Metric
    from widthwise.report.sheets import Sheet
    from widthwise.study.runs import RunSummary


Cell = str | tuple[str, ...]
WIDTH = 100  # of text at a prompt


def plain_table(
    headers: Sequence[str], rows: Sequence[Sequence[Cell]], *, right: Sequence[str] = ()
) -> Table:
    """Rows under headers, a cell of several texts as lines; the columns named in `right` stand to the right.

    A text is one line of what prints, whatever was named in it.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for header in headers:
        table.add_column(Text(plain(header)), justify="right" if header in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_shown(cell)) for cell in row))
    return table


def sheet_table(sheet: Sheet) -> Table:
    """A sheet without its title, its numbers to the right."""
    right = [header for column, header in enumerate(sheet.headers) if sheet.holds_numbers(column)]
    return plain_table(sheet.headers, sheet.rows, right=right)


def table_lines(sheet: Sheet, width: int = WIDTH) -> list[str]:
    """A sheet without its title as text, for a prompt."""
    from io import StringIO

    from rich.console import Console

    out = StringIO()
    console = Console(file=out, width=width, color_system=None, markup=False, highlight=False, emoji=False)
    console.print(sheet_table(sheet))
    return [line.rstrip() for line in out.getvalue().rstrip().splitlines()]


def _shown(cell: Cell) -> str:
    return plain(cell) if isinstance(cell, str) else "\n".join(map(plain, cell))


def metric_table(
    found: Mapping[str, Mapping[str, float]],
    metrics: Sequence[Metric],
    errors: Mapping[str, Mapping[str, float]],
) -> Table:
    """A row a metric, a column a part of the data; errors: the standard errors of those that have one."""
    parts = list(found)

    def shown(metric: Metric, part: str) -> str:
        error = errors[part].get(metric.name, math.nan)
        more = f" ± {shown_number(metric, error)}" if math.isfinite(error) else ""
        return shown_number(metric, found[part][metric.name]) + more

    rows = [[metric.name, *(shown(metric, part) for part in parts)] for metric in metrics]
    return plain_table(["metric", *parts], rows, right=parts)


def run_table(runs: Sequence[RunSummary]) -> Table:
    """A row a run."""
    rows = [
        [
            str(run.path),
            run.created[:16].replace("T", " "),
            f"{run.trials:,}",
            f"{run.failed:,}",
            f"{run.stopped:,}",
            shown_seconds(run.seconds) if run.trouble is None else "",
            "can't be read" if run.trouble is not None else run.finished or "not finished",
        ]
        for run in runs
    ]
    counts = ["trials", "failed", "stopped early", "took"]
    return plain_table(["run", "made", *counts, "ended because"], rows, right=counts)
