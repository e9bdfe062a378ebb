"""Picking one candidate from many: the knee, the best of a metric, the best within bounds."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import UserError, unknown
from widthwise.metrics.catalogue import Direction, Metric
from widthwise.metrics.goals.constraints import Constraint, feasible, nearest_candidates, parse_constraint
from widthwise.metrics.goals.pareto import as_table, maximised, nondominated

FORMS = '"knee", "best:METRIC" or "best METRIC with METRIC <= BOUND and ..."'
_BEST = re.compile(r"best\s*(?::|\s)\s*(?P<metric>.+?)(?:\s+with\s+(?P<bounds>.+))?", re.IGNORECASE)
_KNEE = re.compile(r"knee(?:\s+with\s+(?P<bounds>.+))?", re.IGNORECASE)


def pick(
    rule: str,
    metrics: Sequence[Metric],
    directions: Sequence[Direction],
    values: ArrayLike,
    *,
    numbers: Sequence[int] | None = None,
    where: str = "pick",
) -> int:
    """The row of the table [n, m] that the rule chooses; its columns are the `metrics`.

    Values are in the metrics' own directions. Rules: `knee` (see `knee`); `best:METRIC` or `best METRIC`;
    both may go on `with model_size <= 2KiB and ...`. Of equally good rows the one that no other dominates in
    the remaining metrics is taken, then the first. Rows with NaN are never chosen. `numbers` [n] are the
    trials that errors name. Raises UserError where the rule can't be read, and where no row meets its bounds,
    with the nearest.
    """
    names = [metric.name for metric in metrics]
    table = as_table(values, columns=len(names))
    better = maximised(table, directions)
    best, bounds = _read(rule, metrics, where)
    rows = np.flatnonzero(~np.isnan(better).any(axis=1))
    if not len(rows):
        raise UserError(f"{where}: there is nothing to pick from: no candidate has all metrics")
    if bounds:
        called = ("row", rows) if numbers is None else ("trial", np.asarray(numbers)[rows])
        rows = rows[_within(bounds, names, table[rows], called, where)]
    if best is None:
        return int(rows[knee(better[rows])])
    column = better[rows, names.index(best.name)]
    ties = rows[column == column.max()]
    return int(ties[np.flatnonzero(nondominated(better[ties]))[0]])


def check_rule(rule: str, metrics: Sequence[Metric], *, where: str = "pick") -> None:
    """Raises UserError where `pick` could not read the rule for these metrics."""
    _read(rule, metrics, where)


def metrics_in(rule: str, metrics: Sequence[Metric], *, where: str = "pick") -> list[Metric]:
    """Those of the metrics that a rule names, each once; UserError where it can't be read."""
    best, bounds = _read(rule, metrics, where)
    found = [*([] if best is None else [best]), *(bound.metric for bound in bounds)]
    return list(dict.fromkeys(found))


def knee(values: ArrayLike) -> int:
    """The row of the points [n, m], all maximised, that bulges furthest out of the front.

    Every objective is scaled to [0, 1] over the front. The knee is the point of the front at the greatest
    distance, on the better side, from the hyperplane through the points that are best in each objective (Das
    1999, "On characterizing the 'knee' of the Pareto curve"; Branke et al. 2004). Where these points fix no
    such plane (some of them coincide, or it is not sloped against every objective), the plane sum = 1 is
    used.
    """
    table = as_table(values)
    front = np.flatnonzero(nondominated(table))
    if not len(front):
        raise UserError("knee: there is nothing to pick from: no candidate has all metrics")
    points = table[front]
    lowest = points.min(axis=0)
    spans = points.max(axis=0) - lowest
    varied = spans > 0
    if varied.sum() < 2:  # all the same, or one objective: nothing to trade
        return int(front[0])
    scaled = (points[:, varied] - lowest[varied]) / spans[varied]
    distances = scaled @ _normal(scaled)
    return int(front[np.argmax(np.round(distances, 12))])  # rounding: points on one line tie, the first wins


def _normal(scaled: FloatArray) -> FloatArray:
    """The normal w [m] of the plane x·w = 1 through the best point of each objective, of length 1."""
    objectives = scaled.shape[1]
    # of several best points the one that is better elsewhere
    extremes = scaled[[int(np.lexsort((scaled.sum(axis=1), scaled[:, j]))[-1]) for j in range(objectives)]]
    plain: FloatArray = np.full(objectives, objectives**-0.5)
    if np.linalg.matrix_rank(extremes) < objectives:
        return plain
    normal: FloatArray = np.asarray(np.linalg.solve(extremes, np.ones(objectives)), dtype=np.float64)
    if (normal <= 0).any():
        return plain
    unit: FloatArray = normal / np.sqrt((normal**2).sum())
    return unit


def _read(rule: str, metrics: Sequence[Metric], where: str) -> tuple[Metric | None, list[Constraint]]:
    """(the metric to be best in, None for the knee; the bounds)."""
    text = rule.strip()
    if text.lower().endswith(" with"):
        raise UserError(f"{where}: {rule!r} lacks a bound after with; allowed: {FORMS}")
    match = _KNEE.fullmatch(text) or _BEST.fullmatch(text)
    if match is None:
        raise UserError(f"{where}: can't read {rule!r}; allowed: {FORMS}")
    known = {metric.name: metric for metric in metrics}
    best = match.groupdict().get("metric")
    if best is not None and best not in known:
        raise unknown("metric", best, known, where=where)
    texts = re.split(r"\s+and\s+|\s*,\s*", match["bounds"], flags=re.IGNORECASE) if match["bounds"] else []
    return None if best is None else known[best], [
        parse_constraint(bound, metrics=known, where=where) for bound in texts
    ]


def _within(
    bounds: list[Constraint],
    names: Sequence[str],
    table: FloatArray,
    called: tuple[str, NDArray[np.integer]],
    where: str,
) -> NDArray[np.bool_]:
    """Which rows of the table meet the bounds; UserError where none does, naming the nearest."""
    columns = {name: table[:, column] for column, name in enumerate(names)}
    met = feasible(bounds, columns)
    if met.any():
        return met
    near = nearest_candidates(bounds, columns)
    word, numbers = called
    listed = " | ".join(f"{word} {numbers[candidate.row]}: {candidate}" for candidate in near)
    wanted = " and ".join(str(bound) for bound in bounds)
    raise UserError(f"{where}: no candidate meets {wanted}; the nearest: {listed}")
