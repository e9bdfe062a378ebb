"""Figures of a study for notebooks, as plotly has them: the front, the layers, how the search went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from widthwise.core.errors import UserError, unknown
from widthwise.report.charts import COLOURS, plotly_text
from widthwise.report.shown.axes import Axis
from widthwise.report.shown.view import StudyView
from widthwise.study.sureness import FLOAT

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FAINT = "#8a939c"


def front_figure(view: StudyView, *, x: str | None = None, y: str | None = None) -> Figure:
    """Trials by two figures, y up and x across: the front with errors, uniform schemes, float, the pick.

    By default the first objectives of quality and of cost. Raises UserError for figures that aren't stored,
    and where no trial has any.
    """
    across, up = _axes(view, x, y)
    columns = {axis.name: number for number, axis in enumerate(view.axes)}
    xs, ys = view.points.values[:, columns[across.name]], view.points.values[:, columns[up.name]]
    place = {number: row for row, number in enumerate(view.points.numbers.tolist())}
    on_front = [place[row.trial.number] for row in view.front.rows if row.trial.number in place]
    others = np.setdiff1d(np.arange(len(xs)), on_front)
    errors = [row.errors.get(up.name, 0.0) for row in view.front.rows if row.trial.number in place]

    def points(rows: Any, name: str, **more: Any) -> dict[str, Any]:
        found = {"type": "scatter", "mode": "markers", "name": name} | more
        texts = [f"trial {number}" for number in view.points.numbers[rows].tolist()]
        return found | {"x": xs[rows].tolist(), "y": ys[rows].tolist(), "hovertext": texts}

    known = any(errors)
    traces = [
        points(others, "trials", marker={"color": FAINT, "size": 5, "opacity": 0.5}),
        points(
            on_front,
            "front",
            mode="lines+markers",
            marker={"color": COLOURS[0], "size": 8},
            error_y={"type": "data", "array": errors} if known else None,
        ),
    ]
    uniform = [one for one in view.baselines if one.number in place]
    if uniform:
        labels = {
            "mode": "markers+text",
            "text": [one.label for one in uniform],
            "textposition": "bottom right",
        }
        marker = {"color": COLOURS[3], "size": 11, "symbol": "diamond-open"}
        traces.append(points([place[one.number] for one in uniform], "uniform", marker=marker, **labels))
    floats = view.study.record.settings.float_metrics
    if across.name in floats and up.name in floats:
        error = view.study.sureness.errors.get(FLOAT, {}).get(up.name)
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "float",
                "x": [floats[across.name]],
                "y": [floats[up.name]],
                "error_y": None if error is None else {"type": "data", "array": [error]},
                "marker": {"color": COLOURS[2], "size": 13, "symbol": "star"},
            }
        )
    if view.pick is not None and view.pick.number in place:
        marker = {"color": COLOURS[1], "size": 17, "symbol": "circle-open", "line": {"width": 2}}
        traces.append(points([place[view.pick.number]], "picked", marker=marker))
    return _figure(traces, f"{view.study.name}: {up.name} and {across.name}", across.label, up.label)


def layers_figure(view: StudyView) -> Figure:
    """What each trial of the front chooses for each tensor or decision; UserError where there is none."""
    if view.layers is None:
        raise UserError(f"{view.study.name}: has no front whose layers could be drawn")
    found = view.layers
    trace = {
        "type": "heatmap",
        "x": [f"trial {number}" for number in found.numbers],
        "y": [plotly_text(name) for name in found.names],
        "z": found.levels,
        "text": [[plotly_text(word) for word in row] for row in found.words],
        "texttemplate": "%{text}",
        "colorscale": [[0, "#eef4fa"], [1, COLOURS[0]]],
        "colorbar": {"title": {"text": found.measure}},
    }
    figure = _figure([trace], f"{view.study.name}: layer by layer", "", "")
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(height=max(300, 140 + 20 * len(found.names)))
    return figure


def history_figure(view: StudyView) -> Figure:
    """The share of the final hypervolume after so many trials; raises UserError where there are none."""
    course = view.course
    if not course.share:
        why = "its front is too large" if course.trials else "it has no trial yet"
        raise UserError(f"{view.study.name}: no hypervolume is known: {why}")
    trace = {
        "type": "scatter",
        "mode": "lines",
        "x": course.trials,
        "y": course.share,
        "line": {"shape": "hv", "color": COLOURS[0]},
        "name": "share",
    }
    return _figure(
        [trace], f"{view.study.name}: how the search went", "trials", "share of the final hypervolume"
    )


def _axes(view: StudyView, x: str | None, y: str | None) -> tuple[Axis, Axis]:
    known = {axis.name: axis for axis in view.axes}
    for name in (x, y):
        if name is not None and name not in known:
            raise unknown("figure", name, known, where=view.study.name)
    if view.pair is None or not len(view.points.numbers):
        raise UserError(f"{view.study.name}: no trial has figures that could be drawn")
    quality, cost = view.pair
    return known[x] if x is not None else cost, known[y] if y is not None else quality


def _figure(traces: list[dict[str, Any]], title: str, x: str, y: str) -> Figure:
    from plotly.graph_objects import Figure

    layout = {
        "title": {"text": plotly_text(title)},
        "xaxis": {"title": {"text": plotly_text(x)}},
        "yaxis": {"title": {"text": plotly_text(y)}},
        "template": "simple_white",
        "hovermode": "closest",
    }
    return Figure(traces, layout)
