"""Bounds on metrics: read from a config, checked for sense, applied to many candidates at once."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from widthwise.core.errors import UserError, unknown
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.units import in_unit_of, spelled, spelled_number, spelled_range

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from widthwise.core.arrays import FloatArray

    BoolArray = NDArray[np.bool_]

Operator = Literal["<=", ">=", "<", ">", "=="]

OPERATORS: tuple[Operator, ...] = ("<=", ">=", "==", "<", ">")  # the longer ones are tried first
_NUMBER = r"[-+]?(?:[\d._]+(?:[eE][-+]?\d+)?|nan|inf(?:inity)?)"
_BOUND = re.compile(rf"\s*(<=|>=|==|<|>|=)\s*({_NUMBER})\s*([A-Za-zµ%]*)\s*", re.IGNORECASE)
_TEXT = re.compile(r"\s*([^<>=]+?)\s*([<>=].*)")


@dataclass(frozen=True)
class Constraint:
    """`metric op bound`, the bound in the metric's own unit: bytes, bits, seconds, a share."""

    metric: Metric
    op: Operator
    bound: float

    @property
    def name(self) -> str:
        """The metric's."""
        return self.metric.name

    def __str__(self) -> str:
        return f"{self.name} {self.op} {spelled_number(self.bound)}"

    def as_json(self) -> dict[str, Any]:
        """As it is stored: the metric by name."""
        return {"metric": self.name, "op": self.op, "bound": self.bound}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], metric: Callable[[str], Metric]) -> Constraint:
        """From what `as_json` gave; `metric` is asked for the metric by name."""
        return cls(metric(stored["metric"]), stored["op"], stored["bound"])

    def excess(self, values: FloatArray) -> FloatArray:
        """By how much each of the values [K] misses the bound, in the metric's unit; 0 if met, NaN for NaN.

        A strict bound that is just reached is missed by the smallest positive number.
        """
        import numpy as np

        over = values - self.bound if self.op in ("<=", "<") else self.bound - values
        if self.op == "==":
            return np.abs(over)
        missed = np.maximum(over, 0.0)
        least = np.finfo(np.float64).tiny * max(self.scale, 1.0)  # as a share of the bound still above 0
        return np.where(over == 0, least, missed) if self.op in ("<", ">") else missed

    @property
    def scale(self) -> float:
        """What a miss is measured in: the bound itself, or 1 where that is zero."""
        return abs(self.bound) or 1.0


def parse_constraints(
    given: Mapping[str, Any] | Sequence[str] | str,
    *,
    metrics: Mapping[str, Metric],
    where: str = "search.constraints",
) -> tuple[Constraint, ...]:
    """The bounds of a table {metric = "<= 2 KiB"} or of texts "model_size <= 2 KiB", checked.

    `metrics` are those that may be bounded, by name. A table's value may be a list of bounds. Units: UNITS,
    case does not matter; k, M, G count. Raises UserError for what can't be read, unknown metrics, units that
    don't fit, numbers that the metric can't have, and bounds that exclude one another.
    """
    found = tuple(
        _constraint(name, bound, metrics, where=place) for name, bound, place in _bounds(given, where)
    )
    _check_consistent(found, where)
    return found


def parse_constraint(text: str, *, metrics: Mapping[str, Metric], where: str = "constraint") -> Constraint:
    """The bound that one text "model_size <= 2 KiB" says; UserError where it says none."""
    ((name, bound, place),) = _bounds(text, where)
    return _constraint(name, bound, metrics, where=place)


def violations(
    constraints: Sequence[Constraint], metrics: Mapping[str, FloatArray], *, unknown: float = math.inf
) -> FloatArray:
    """How far each of K candidates is from meeting all bounds, [K]: 0 where it does.

    The sum over the bounds of the excess as a share of the bound, so that bytes and accuracies add up. A
    metric that is NaN (failures) or missing counts as `unknown`.
    """
    import numpy as np

    rows = len(next(iter(metrics.values()))) if metrics else 0
    total = np.zeros(rows)
    for constraint in constraints:
        values = metrics.get(constraint.name)
        share = np.full(rows, np.nan) if values is None else constraint.excess(values) / constraint.scale
        total += np.where(np.isnan(share), unknown, share)
    return total


def feasible(constraints: Sequence[Constraint], metrics: Mapping[str, FloatArray]) -> BoolArray:
    """Which of K candidates meet every bound, [K]."""
    met: BoolArray = violations(constraints, metrics) == 0
    return met


@dataclass(frozen=True)
class Miss:
    """A bound that a candidate does not meet, and its value."""

    constraint: Constraint
    value: float

    def __str__(self) -> str:
        if math.isnan(self.value):
            return f"{self.constraint.name} is not known ({self.constraint})"
        metric = self.constraint.metric
        by = spelled(metric, abs(self.value - self.constraint.bound))
        if self.value == self.constraint.bound:
            return f"{metric.name} {spelled(metric, self.value)} just misses {self.constraint}"
        return f"{metric.name} {spelled(metric, self.value)} misses {self.constraint} by {by}"


@dataclass(frozen=True)
class NearCandidate:
    """A candidate that misses some bounds: its row, the bounds, and the sum of the shares."""

    row: int
    misses: tuple[Miss, ...]
    violation: float

    def __str__(self) -> str:
        return "; ".join(str(miss) for miss in self.misses)


def nearest_candidates(
    constraints: Sequence[Constraint], metrics: Mapping[str, FloatArray], *, count: int = 3
) -> list[NearCandidate]:
    """The `count` candidates nearest to meeting all bounds, nearest first, with what each misses by how much.

    Failures (NaN in a bounded metric) are left out.
    """
    import numpy as np

    amounts = violations(constraints, metrics)
    order = [int(row) for row in np.argsort(amounts, kind="stable")[:count] if np.isfinite(amounts[row])]
    return [
        NearCandidate(row, tuple(_misses(constraints, metrics, row)), float(amounts[row])) for row in order
    ]


def _misses(constraints: Sequence[Constraint], metrics: Mapping[str, FloatArray], row: int) -> list[Miss]:
    found = []
    for constraint in constraints:
        values = metrics[constraint.name]
        if float(constraint.excess(values[row : row + 1])[0]) > 0:
            found.append(Miss(constraint, float(values[row])))
    return found


def _bounds(given: Any, where: str) -> list[tuple[str, Any, str]]:
    """(metric, bound as written, place) of each bound."""
    if isinstance(given, Mapping):
        return [
            (name, bound, f"{where}.{name}")
            for name, bounds in given.items()
            for bound in (bounds if isinstance(bounds, list | tuple) else [bounds])
        ]
    found = []
    for text in [given] if isinstance(given, str) else given:
        match = _TEXT.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise UserError(f'{where}: can\'t read {text!r}; write a bound as "model_size <= 2 KiB"')
        found.append((match[1], match[2], where))
    return found


def _constraint(name: str, bound: Any, metrics: Mapping[str, Metric], *, where: str) -> Constraint:
    if name not in metrics:
        raise unknown("metric", name, metrics, where=where)
    match = _BOUND.fullmatch(bound) if isinstance(bound, str) else None
    if match is None:
        wanted = "<=" if metrics[name].direction == "minimize" else ">="
        example = "<= 2 KiB" if isinstance(bound, str) else f"{wanted} {bound}"
        raise UserError(f'{where}: can\'t read {bound!r}; write a bound as "{example}" (<=, >=, <, >, ==)')
    try:
        number = float(match[2].replace("_", ""))
    except ValueError:
        raise UserError(f"{where}: {match[2]!r} is no number") from None
    if not math.isfinite(number):
        raise UserError(f"{where}: {match[2]} is no finite number; {spelled_range(metrics[name])}")
    metric = metrics[name]
    op: Operator = "==" if match[1] == "=" else match[1]  # type: ignore[assignment]
    constraint = Constraint(metric, op, in_unit_of(metric, number, match[3], where=where))
    _check_in_range(constraint, where)
    return constraint


def _check_in_range(constraint: Constraint, where: str) -> None:
    low, high = constraint.metric.low, constraint.metric.high
    op, bound = constraint.op, constraint.bound
    if not low <= bound <= high or (op == "<" and bound == low) or (op == ">" and bound == high):
        raise UserError(
            f"{where}: {constraint} is out of range: {spelled_range(constraint.metric)}; change the bound"
        )


def _check_consistent(constraints: Sequence[Constraint], where: str) -> None:
    for index, one in enumerate(constraints):
        for other in constraints[:index]:
            if one.name == other.name and _exclude(one, other):
                raise UserError(
                    f"{where}.{one.name}: {other} and {one} exclude one another; change one of them"
                )


def _exclude(one: Constraint, other: Constraint) -> bool:
    """Whether no number meets both bounds."""
    lowest = max((c.bound for c in (one, other) if c.op in (">=", ">", "==")), default=-math.inf)
    highest = min((c.bound for c in (one, other) if c.op in ("<=", "<", "==")), default=math.inf)
    strict = any(c.op in ("<", ">") and c.bound == lowest for c in (one, other))
    return lowest > highest or (lowest == highest and strict)
