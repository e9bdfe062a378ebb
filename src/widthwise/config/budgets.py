"""[search.constraints]: bounds on metrics, the budgets of trials and time, and the form to keep within."""

from __future__ import annotations

import math
import re
from typing import Any, TypeVar

from widthwise.config.metrics import FindMetric
from widthwise.core.errors import UserError, nearest, unknown
from widthwise.core.table import Table, as_number
from widthwise.core.toml import dotted, shown
from widthwise.metrics.catalogue import METRICS, Metric
from widthwise.metrics.goals.constraints import Constraint, parse_constraints
from widthwise.metrics.units import DURATIONS
from widthwise.network.forms import form_named

T = TypeVar("T", int, float)

BUDGETS = ("trials", "time")
TARGET = "target"
_BUDGET = re.compile(r"\s*(?:<=)?\s*(\d[\d_]*\.?\d*(?:[eE]\d+)?)\s*([A-Za-z]*)\s*")
_THOUSANDS = {"": 1.0, "k": 1e3, "m": 1e6}


def read_bounds(table: Table, find: FindMetric) -> tuple[Constraint, ...]:
    """The bounds on metrics, as `find` knows them; budgets are read apart.

    Raises UserError for what makes no sense.
    """
    others = (*BUDGETS, TARGET)
    return tuple(bound for key in table if key not in others for bound in _bounds(table, key, find))


def read_target(table: Table) -> str | None:
    """The form that a search keeps within, by its canonical name, with its options; imports nothing."""
    text = table.text(TARGET)
    return None if text is None else form_named(text, where=table.where(TARGET))


def read_budgets(
    table: Table, setup: Table, trials: int | None, timeout: float | None
) -> tuple[int | None, float | None]:
    """(trials, seconds): as constraints say, else the setup's n_trials and timeout.

    What --set or an option of the command line gave goes before the file. Raises UserError where both places
    of a file say something different.
    """
    return (
        _one_of(table, "trials", _trials(table), setup, "n_trials", trials),
        _one_of(table, "time", _seconds(table), setup, "timeout", timeout),
    )


def _bounds(table: Table, key: str, find: FindMetric) -> tuple[Constraint, ...]:
    place = table.where(key).removesuffix(dotted([key])).removesuffix(".")  # where the key stands
    return parse_constraints({key: table.get(key)}, metrics={key: _metric(table, key, find)}, where=place)


def _metric(table: Table, key: str, find: FindMetric) -> Metric:
    try:
        return find(key, table.where(key))
    except UserError:
        allowed = [*METRICS, *BUDGETS, TARGET]
        if nearest(key, allowed) in (*BUDGETS, TARGET):
            raise unknown("metric or budget", key, allowed, where=table.where(key)) from None
        raise


def _one_of(
    table: Table, key: str, bounded: T | None, setup: Table, lab_key: str, stood: T | None
) -> T | None:
    """The one that was given, or that overrides the other."""
    if bounded is None or stood is None or bounded == stood:
        return stood if bounded is None else bounded
    for path, value in (((*setup.path, lab_key), stood), ((*table.path, key), bounded)):
        if any(path[: len(given)] == given for given in table.document.overridden):
            return value
    other = dotted((*setup.path, lab_key))
    raise UserError(
        f"{table.where(key)}: {shown(table.get(key))} contradicts {other} = {stood:g}; leave one of them out"
    )


def _trials(table: Table) -> int | None:
    value = table.get("trials")
    if value is None:
        return None
    number = _number(value, _THOUSANDS)
    if number is None or number < 1 or not number.is_integer():
        table.fail("trials", f'{shown(value)} is no number of trials; write it as 200 or "<= 200"')
    return int(number)


def _seconds(table: Table) -> float | None:
    value = table.get("time")
    if value is None:
        return None
    number = _number(value, DURATIONS)
    if number is None or number <= 0:
        table.fail("time", f'{shown(value)} is no time above 0; write it as "10 min", "2 h" or in seconds')
    return number


def _number(value: Any, units: dict[str, float]) -> float | None:
    """A number, or text of one with a unit, finite; else None."""
    match = _BUDGET.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return as_number(value)
    factor = units.get(match[2].lower(), math.nan)
    number = float(match[1]) * factor
    return number if math.isfinite(number) else None
