"""[search.constraints]: bounds on metrics, as "model_size <= 2 KiB" says them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from widthwise.config.schema import Constraint, Relation
from widthwise.config.table import Table, as_number, rephrased
from widthwise.config.toml import shown
from widthwise.errors import UserError
from widthwise.metrics.catalogue import Metric, find_metric

BYTES = {"B": 1, "bytes": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
COUNTS = {"k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
BITS = {"bit": 1, "bits": 1}

NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
BOUND = re.compile(rf"\s*(?P<relation><=|>=)\s*(?P<number>{NUMBER})\s*(?P<unit>[A-Za-z%]*)\s*")
EXAMPLE = 'write it as "<= 2 KiB" or ">= 0.72"'


def read_constraints(table: Table) -> tuple[Constraint, ...]:
    """All bounds, in the order of the file; raises UserError where two of them contradict each other."""
    found: list[Constraint] = []
    for key in table:
        metric = find_metric(key, where=table.where(key))
        value = table.get(key)
        for text in value if isinstance(value, list) else [value]:
            if not isinstance(text, str):
                table.fail(key, f"{shown(text)} is no bound; {EXAMPLE}")
            try:
                found.append(_bound(text, metric))
            except UserError as error:
                raise rephrased(error, table.where(key)) from None
        _check_contradiction(table, key, [bound for bound in found if bound.metric == metric.name])
    return tuple(found)


def parse_constraint(text: str) -> Constraint:
    """The bound that "model_size <= 2 KiB" says; raises UserError for other text and unknown metrics."""
    name = re.split(r"[<>=]", text, maxsplit=1)[0].strip()
    if not name:
        raise UserError(f"{shown(text)}: names no metric; write it as model_size <= 2 KiB")
    metric = find_metric(name, where=shown(text))
    return _bound(text.strip().removeprefix(name), metric)


def _bound(text: str, metric: Metric) -> Constraint:
    match = BOUND.fullmatch(text)
    if match is None:
        raise UserError(f"{shown(text)} is no bound; {EXAMPLE}")
    relation: Relation = "<=" if match["relation"] == "<=" else ">="
    units = _units(metric)
    if match["unit"] not in units:
        allowed = ", ".join(filter(None, units)) or "none"
        raise UserError(f"{metric.name} has no unit {match['unit']}; allowed: {allowed}")
    number = as_number(float(match["number"]) * units[match["unit"]])
    if number is not None and match["unit"] == "%":
        number /= 100  # not times 0.01, which makes 0.7000000000000001 of 70 %
    if number is None:
        raise UserError(f"{shown(text)} is no finite number; {EXAMPLE}")
    return Constraint(metric.name, relation, number)


def _units(metric: Metric) -> dict[str, float]:
    """What may stand behind a number, with the factor to the metric's own unit."""
    if metric.kind == "quality":
        return {"": 1, "%": 1} if metric.unit == "share" else {"": 1}
    own = {"bytes": BYTES, "bits": BITS, "x": {"x": 1}}.get(metric.unit, COUNTS)
    return {"": 1, **own}


def _check_contradiction(table: Table, key: str, bounds: Iterable[Constraint]) -> None:
    lowest = max((b.bound for b in bounds if b.relation == ">="), default=None)
    highest = min((b.bound for b in bounds if b.relation == "<="), default=None)
    if lowest is not None and highest is not None and lowest > highest:
        table.fail(key, f"nothing is >= {lowest:g} and <= {highest:g}; leave one of the bounds out")
