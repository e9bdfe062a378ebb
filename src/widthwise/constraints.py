"""Bounds on metrics: read from a config, checked for sense, applied to many candidates at once."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from widthwise.errors import UserError, unknown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from widthwise.space import FloatArray

    BoolArray = NDArray[np.bool_]

Allowed = Mapping[str, str | None] | Collection[str]
Operator = Literal["<=", ">=", "<", ">", "=="]

OPERATORS: tuple[Operator, ...] = ("<=", ">=", "==", "<", ">")  # the longer ones are tried first
UNITS: dict[str, float] = {
    "": 1,
    "b": 1,
    "byte": 1,
    "bytes": 1,
    "kb": 1e3,
    "mb": 1e6,
    "gb": 1e9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "bit": 1,
    "bits": 1,
    "k": 1e3,
    "m": 1e6,
    "g": 1e9,
    "%": 1e-2,
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1,
}
_BYTES = {"b", "byte", "bytes", "kb", "mb", "gb", "kib", "mib", "gib"}
_TIMES = {"ns", "us", "ms", "s"}
SPELLED_UNITS = "B, kB, MB, GB, KiB, MiB, GiB, bits, k, M, G, %, ns, us, ms, s"
_BOUND = re.compile(r"\s*(<=|>=|==|<|>|=)\s*([-+]?[\d._]+(?:[eE][-+]?\d+)?)\s*([A-Za-zµ%]*)\s*")
_TEXT = re.compile(r"\s*([^<>=]+?)\s*([<>=].*)")


@dataclass(frozen=True)
class Constraint:
    """`metric op bound`, the bound in the metric's own unit: bytes, bits, seconds, a share."""

    metric: str
    op: Operator
    bound: float

    def __str__(self) -> str:
        return f"{self.metric} {self.op} {self.bound:g}"

    def excess(self, values: FloatArray) -> FloatArray:
        """By how much each of the values [K] misses the bound, in the metric's unit; 0 if met, NaN for NaN.

        A strict bound that is just reached is missed by the smallest positive number.
        """
        import numpy as np

        over = values - self.bound if self.op in ("<=", "<") else self.bound - values
        if self.op == "==":
            return np.abs(over)
        missed = np.maximum(over, 0.0)
        return np.where(over == 0, np.finfo(np.float64).tiny, missed) if self.op in ("<", ">") else missed

    @property
    def scale(self) -> float:
        """What a miss is measured in: the bound itself, or 1 where that is zero."""
        return abs(self.bound) or 1.0


def parse_constraints(
    given: Mapping[str, Any] | Sequence[str] | str,
    *,
    metrics: Allowed,
    where: str = "search.constraints",
) -> tuple[Constraint, ...]:
    """The bounds of a table {metric = "<= 2 KiB"} or of texts "model_size <= 2 KiB", checked.

    `metrics` are the names that may be bounded; as a mapping it gives their units, so that bytes are not
    asked of an accuracy. A table's value may be a list of bounds. Units: UNITS, case does not matter; k, M,
    G count. Raises UserError for what can't be read, unknown metrics, units that don't fit, and bounds that
    exclude one another.
    """
    found = tuple(
        _constraint(name, bound, metrics, where=place) for name, bound, place in _bounds(given, where)
    )
    _check_consistent(found, where)
    return found


def parse_constraint(text: str, *, metrics: Allowed, where: str = "constraint") -> Constraint:
    """The bound that one text "model_size <= 2 KiB" says; UserError where it says none."""
    ((name, bound, place),) = _bounds(text, where)
    return _constraint(name, bound, metrics, where=place)


def violations(constraints: Sequence[Constraint], metrics: Mapping[str, FloatArray]) -> FloatArray:
    """How far each of K candidates is from meeting all bounds, [K]: 0 where it does.

    The sum over the bounds of the excess as a share of the bound, so that bytes and accuracies add up.
    Metrics that are NaN (failures) or missing give infinity.
    """
    import numpy as np

    rows = len(next(iter(metrics.values()))) if metrics else 0
    total = np.zeros(rows)
    for constraint in constraints:
        values = metrics.get(constraint.metric)
        share = np.full(rows, np.inf) if values is None else constraint.excess(values) / constraint.scale
        total += np.where(np.isnan(share), np.inf, share)
    return total


def feasible(constraints: Sequence[Constraint], metrics: Mapping[str, FloatArray]) -> BoolArray:
    """Which of K candidates meet every bound, [K]."""
    met: BoolArray = violations(constraints, metrics) == 0
    return met


def may_be_feasible(constraints: Sequence[Constraint], known: Mapping[str, FloatArray]) -> BoolArray:
    """Which of K candidates break no bound on what is known of them yet, [K]: the others need no evaluation.

    Metrics that are missing or NaN are not known, and break nothing.
    """
    import numpy as np

    rows = len(next(iter(known.values()))) if known else 0
    possible = np.ones(rows, dtype=bool)
    for constraint in constraints:
        if (values := known.get(constraint.metric)) is not None:
            possible &= ~(constraint.excess(values) > 0)
    return possible


@dataclass(frozen=True)
class Miss:
    """A bound that a candidate does not meet: its value, and the miss as a share of the bound."""

    constraint: Constraint
    value: float
    share: float

    def __str__(self) -> str:
        if math.isnan(self.value):
            return f"{self.constraint.metric} is not known ({self.constraint})"
        by = abs(self.value - self.constraint.bound)
        return (
            f"{self.constraint.metric} {self.value:g} misses {self.constraint} by {by:g} ({self.share:.1%})"
        )


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
        excess = float(constraint.excess(metrics[constraint.metric][row : row + 1])[0])
        if excess > 0:
            found.append(Miss(constraint, float(metrics[constraint.metric][row]), excess / constraint.scale))
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


def _constraint(name: str, bound: Any, metrics: Allowed, *, where: str) -> Constraint:
    if name not in metrics:
        raise unknown("metric", name, metrics, where=where)
    match = _BOUND.fullmatch(bound) if isinstance(bound, str) else None
    if match is None:
        raise UserError(f'{where}: can\'t read {bound!r}; write a bound as "<= 2 KiB" (<=, >=, <, >, ==)')
    unit = match[3].lower().replace("µ", "u")
    if unit not in UNITS:
        raise UserError(f"{where}: no unit {match[3]!r}; allowed: {SPELLED_UNITS}")
    measured = metrics.get(name) if isinstance(metrics, Mapping) else None
    factor = _factor(unit, measured, name, where)
    try:
        number = float(match[2].replace("_", ""))
    except ValueError:
        raise UserError(f"{where}: {match[2]!r} is no number") from None
    if not math.isfinite(number):
        raise UserError(f"{where}: {match[2]} is no finite number")
    op: Operator = "==" if match[1] == "=" else match[1]  # type: ignore[assignment]
    # 70 * 0.01 would be 0.7000000000000001
    return Constraint(name, op, number / 100 if unit == "%" else number * factor)


def _factor(unit: str, measured: str | None, name: str, where: str) -> float:
    """What turns a number in this unit into the metric's own; UserError for bytes of an accuracy."""
    if unit in _TIMES and measured in _TIMES:
        return UNITS[unit] / UNITS[measured]
    for units, kind in ((_BYTES, "bytes"), (_TIMES, "seconds"), ({"%"}, "share"), ({"bit", "bits"}, "bits")):
        if measured is not None and unit in units and measured != kind:
            own = measured or "plain numbers"
            raise UserError(f"{where}: {name} is measured in {own}, not in {kind}; leave out {unit}")
    return UNITS[unit]


def _check_consistent(constraints: Sequence[Constraint], where: str) -> None:
    for index, one in enumerate(constraints):
        for other in constraints[:index]:
            if one.metric == other.metric and _exclude(one, other):
                raise UserError(
                    f"{where}.{one.metric}: {other} and {one} exclude one another; change one of them"
                )


def _exclude(one: Constraint, other: Constraint) -> bool:
    """Whether no number meets both bounds."""
    lowest = max((c.bound for c in (one, other) if c.op in (">=", ">", "==")), default=-math.inf)
    highest = min((c.bound for c in (one, other) if c.op in ("<=", "<", "==")), default=math.inf)
    strict = any(c.op in ("<", ">") and c.bound == lowest for c in (one, other))
    return lowest > highest or (lowest == highest and strict)
