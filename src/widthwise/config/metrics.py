"""[metrics.NAME]: metrics of one's own, and how names in a config become metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any

from widthwise.config.schema import DeclaredMetric
from widthwise.config.specs import check_spec
from widthwise.core.errors import UserError
from widthwise.core.table import Table
from widthwise.metrics.catalogue import METRICS, Direction, Judges, Kind, Metric, known_metric
from widthwise.metrics.quality.task import Task
from widthwise.metrics.quality.tasks import metric_of
from widthwise.metrics.table_file import TableFile, cost_table

FindMetric = Callable[[str, str], Metric]
"""A name, and where it stands, to the metric; raises UserError."""

FROM_PYTHON = "python"  # the source, in a run's config, of a metric that no config can name
DIRECTIONS: dict[str, Direction] = {"maximize": "maximize", "minimize": "minimize"}
KINDS: dict[str, Kind] = {"quality": "quality", "cost": "cost"}


def metrics_of(task: Task | str | None, declared: Sequence[DeclaredMetric]) -> FindMetric:
    """How names become metrics: those that were declared, then the task's, torchmetrics' and costs."""
    known = {one.metric.name: one.metric for one in declared}

    def find(name: str, where: str) -> Metric:
        return known[name] if name in known else metric_of(task, name, where)

    return find


def read_metrics(table: Table) -> tuple[DeclaredMetric, ...]:
    """The metrics that [metrics] declares; nothing is imported. Raises UserError."""
    return tuple(_declared(table.table(name), name) for name in table)


def write_metrics(declared: Sequence[DeclaredMetric]) -> dict[str, Any] | None:
    """What `read_metrics` reads back; None where none is declared."""
    return {one.metric.name: _written(one) for one in declared} or None


def _declared(table: Table, name: str) -> DeclaredMetric:
    if name in METRICS:
        raise UserError(f"{table.where()}: is one of widthwise's metrics; give yours another name")
    options = table.table("options").values
    source = table.text("source")
    if table.text("table") is not None:
        base = _of_table(table, name)
    else:
        base = _of_torchmetrics(table, name) if source is None else _own(table, name, source)
    metric = _ranged(table, base)
    table.close(strict=True)
    return DeclaredMetric(metric, tuple(options.items()))


def _of_torchmetrics(table: Table, name: str) -> Metric:
    known = known_metric(name)
    if known is None or not known.source:
        table.fail("source", f'is missing; name what computes {name}, as source = "my_metrics:{name}"')
    return known


def _of_table(table: Table, name: str) -> Metric:
    if "source" in table:
        table.fail("source", "stands beside table, which is the source already; leave one of them out")
    try:
        return cost_table(
            table.text("table") or "", name=name, column=table.text("column"), unit=table.text("unit") or ""
        )
    except UserError as error:
        raise error.at(table.where()) from None


def _own(table: Table, name: str, source: str) -> Metric:
    if not name.isidentifier():
        raise UserError(f"{table.where()}: is no name for a metric; use letters, digits and _")
    if source != FROM_PYTHON:
        if ":" not in source:
            table.fail("source", f'"{source}" is not of the form module:callable, as my_metrics:{name}')
        check_spec(source, what="metrics", where=table.where("source"))
    kind = table.choice("kind", KINDS, "quality")
    by_sample = table.flag("by_sample", False)
    judges: Judges = "task" if kind != "quality" else "sample" if by_sample else "all"
    best: Direction = "maximize" if kind == "quality" else "minimize"
    found = "" if source == FROM_PYTHON else source
    said = "given from Python" if source == FROM_PYTHON else f"as {source} has it"
    return Metric(name, kind, best, table.text("unit") or "", said, source=found, judges=judges)


def _ranged(table: Table, metric: Metric) -> Metric:
    low, high = table.number("low", metric.low), table.number("high", metric.high)
    if not low < high:
        table.fail("low", f"{low:g} is not below high = {high:g}")
    direction = table.choice("direction", DIRECTIONS, metric.direction)
    return replace(metric, direction=direction, low=low, high=high)


def _written(declared: DeclaredMetric) -> Mapping[str, Any]:
    metric, file = declared.metric, declared.metric.source
    if isinstance(file, TableFile):
        return {"table": file.path, "column": file.column, **_range_of(metric)}
    own = metric.is_own or metric.kind == "cost"
    source = (metric.source if isinstance(metric.source, str) else "") or FROM_PYTHON
    return {
        "source": source if own else None,
        "kind": metric.kind if metric.kind != "quality" else None,
        "by_sample": True if metric.judges == "sample" else None,
        **_range_of(metric),
        "options": dict(declared.options) or None,
    }


def _range_of(metric: Metric) -> Mapping[str, Any]:
    return {
        "direction": metric.direction,
        "low": metric.low if metric.low != -inf else None,
        "high": metric.high if metric.high != inf else None,
        "unit": metric.unit or None,
    }
