"""Metrics of one's own from Python: callables, objects and classes like torchmetrics' (imports no torch)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import Any

from widthwise.core.errors import UserError
from widthwise.metrics.catalogue import METRICS, Direction, Judges, Kind, Metric, find_metric
from widthwise.metrics.torchmetrics_names import torchmetrics_classes

Given = str | Metric | Callable[..., Any]
"""What a metric may be asked for by: its name, all that is known of it, or what computes it."""


def own_metric(
    compute: Callable[..., Any],
    *,
    name: str | None = None,
    direction: Direction | None = None,
    low: float = -inf,
    high: float = inf,
    unit: str = "",
    kind: Kind = "quality",
    by_sample: bool = False,
) -> Metric:
    """A metric of one's own, for `metrics` of `evaluate`, `search` and the evaluators.

    Args:
        compute: of kind "quality" `(outputs, targets) -> number`: it is called once for each candidate, with
            its outputs [n, ...] for all the data and the targets [n, ...], tensors on the CPU in the order of
            the data. So it may be of any kind, a median or a rank, and outputs are kept until then, within
            the memory that evaluating may take. Or an object like those of torchmetrics, which is copied for
            each candidate and updated block by block, or their class. Of kind "cost"
            `(counts, bits) -> [K]`, see `widthwise.metrics.cost.formulas`.
        by_sample: the callable gives one value for each sample, [n], and the metric is their mean. It is
            called with a block of the data at a time, and nothing is kept.
        name: by default the callable's or the class's own.
        direction: which way is better; by default as its `higher_is_better` says, else of a cost "minimize"
            and of a quality "maximize".
        low, high: no value lies below or above; a candidate with such a value fails. Bounds let a search stop
            candidates early.

    A value that is NaN is a failed candidate. Raises UserError for what can't be called, and for a name that
    is none, or taken.
    """
    if not callable(compute):
        raise UserError(
            f"metrics: a {type(compute).__name__} can't be called; give (outputs, targets) -> number"
        )
    if by_sample and is_accumulator(compute):
        raise UserError(f"metric {_name_of(compute)}: has update and compute; by_sample is for a function")
    if direction is None:
        direction = _direction_of(compute, kind)
    found = _name_of(compute) if name is None else name
    if not found.isidentifier():
        raise UserError(f"metric {found!r}: is no name; give one, as own_metric(f, name='worst_class')")
    if found in METRICS:
        raise UserError(f"metric {found}: is one of widthwise's; give yours another name")
    judges: Judges = "task" if kind != "quality" else "sample" if by_sample else "all"
    return Metric(
        found, kind, direction, unit, f"as {described(compute)} has it", low, high, compute, judges=judges
    )


def is_accumulator(compute: object) -> bool:
    """Whether it is an object or class like torchmetrics': `update` with blocks, then `compute`."""
    return callable(getattr(compute, "update", None)) and callable(getattr(compute, "compute", None))


def described(compute: object) -> str:
    """How people find a callable: "my_metrics.worst_class"."""
    if isinstance(compute, str):
        return compute
    named = compute if hasattr(compute, "__qualname__") else type(compute)
    return f"{named.__module__}.{named.__qualname__}"


def find_metrics(given: Iterable[Given], find: Callable[[str], Metric]) -> tuple[Metric, ...]:
    """The metrics that are asked for, each once: names as `find` knows them, others as `own_metric` has them.

    Raises UserError for what is no metric, and where two different ones have the same name.
    """
    if isinstance(given, str):
        given = [given]
    found: dict[str, Metric] = {}
    for one in given:
        metric = _metric(one, find)
        if found.setdefault(metric.name, metric) != metric:
            raise UserError(
                f"metrics: two are called {metric.name}; give one another name, as "
                "own_metric(f, name='worst_class')"
            )
    return tuple(found.values())


def _metric(given: Given, find: Callable[[str], Metric]) -> Metric:
    if isinstance(given, str):
        return find(given)
    if isinstance(given, Metric):
        return given
    if isinstance(given, type) and given.__module__.startswith("torchmetrics."):
        if given.__name__ in torchmetrics_classes():
            return find_metric(given.__name__)
    elif not callable(given):
        raise UserError(
            f"metrics: {given!r} is no metric; give a name, a callable (outputs, targets) -> "
            "number, a metric of torchmetrics, or own_metric(...)"
        )
    return own_metric(given)


def _name_of(compute: object) -> str:
    return str(getattr(compute, "__name__", type(compute).__name__))


def _direction_of(compute: object, kind: Kind) -> Direction:
    higher = getattr(compute, "higher_is_better", None)
    if isinstance(higher, bool):
        return "maximize" if higher else "minimize"
    return "maximize" if kind == "quality" else "minimize"
