"""A front as a small scatter of characters, for terminals that are wide enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from widthwise.report.shown.axes import axes_of, first_pair
from widthwise.report.terminal import shown_number

if TYPE_CHECKING:
    from widthwise.report.shown.axes import Axis
    from widthwise.study.study import Study

FROM_WIDTH = 80  # columns
WIDTH, HEIGHT = 64, 12
FEWEST = 3  # points of a front that are worth it
FAR = 20.0  # costs that differ by more are drawn by their logarithm
FRONT, FLOAT = "o", "F"


def scatter_lines(study: Study, width: int) -> list[str]:
    """The front by its first quality and cost, and float as F; none where it is too narrow or small."""
    pair = first_pair(axes_of(study))
    rows = [tie.trial for tie in study.ties]
    if width < FROM_WIDTH or len(rows) < FEWEST or pair is None or pair[0] == pair[1]:
        return []
    quality, cost = pair
    points = [(trial.metrics[cost.name], trial.metrics[quality.name], FRONT) for trial in rows]
    known = study.record.settings.float_metrics
    if all(math.isfinite(known.get(axis.name, math.nan)) for axis in pair):
        points.insert(0, (known[cost.name], known[quality.name], FLOAT))
    points = [point for point in points if math.isfinite(point[0]) and math.isfinite(point[1])]
    return _drawn(points, quality, cost) if points else []


def _drawn(points: Sequence[tuple[float, float, str]], quality: Axis, cost: Axis) -> list[str]:
    across, up = [x for x, _, _ in points], [y for _, y, _ in points]
    by_size = min(across) > 0 and max(across) / min(across) > FAR
    places = [math.log(x) for x in across] if by_size else across
    grid = [[" "] * WIDTH for _ in range(HEIGHT)]
    for x, (_, y, mark) in zip(places, points, strict=True):
        grid[HEIGHT - 1 - _at(y, up, HEIGHT)][_at(x, places, WIDTH)] = mark
    ends = [shown_number(quality.metric, max(up)), shown_number(quality.metric, min(up))]
    room = max(map(len, ends))
    edges = [ends[0].rjust(room), *[" " * room] * (HEIGHT - 2), ends[1].rjust(room)]
    low, high = (shown_number(cost.metric, value) for value in (min(across), max(across)))
    below = f"{low}{high.rjust(WIDTH - len(low))}"
    marks = f"{FRONT}: the front" + (f", {FLOAT}: float" if FLOAT in {mark for _, _, mark in points} else "")
    scale = ", by its logarithm" if by_size else ""
    return [
        f"{quality.name} up, {cost.name} across{scale} ({marks})",
        *(f"{edge} │{''.join(line).rstrip()}" for edge, line in zip(edges, grid, strict=True)),
        " " * room + " └" + "─" * WIDTH,
        " " * (room + 2) + below,
    ]


def _at(value: float, values: Sequence[float], cells: int) -> int:
    low, high = min(values), max(values)
    return round((value - low) / (high - low) * (cells - 1)) if high > low else 0
