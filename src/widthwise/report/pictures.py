"""A front as a picture for papers and READMEs: png, pdf or svg, by matplotlib (extra `pictures`)."""

from __future__ import annotations

import io
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from widthwise.core.errors import UserError
from widthwise.report.charts import COLOURS
from widthwise.report.shown.view import StudyView
from widthwise.study.sureness import FLOAT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from widthwise.core.arrays import FloatArray
    from widthwise.report.shown.axes import Axis

INCHES = (6.4, 4.0)
DOTS = 200  # an inch
FAINT = "#8a939c"
FAR = 20.0  # costs that differ by more are drawn by their logarithm
STYLE: dict[Any, Any] = {
    "pdf.fonttype": 42,  # fonts are embedded as they are, which printers and journals take
    "svg.fonttype": "path",  # letters become outlines
    "svg.hashsalt": "widthwise",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.usetex": False,
    "text.parse_math": False,  # a $ in a name is one
}


def check_pictures() -> None:
    """Raises UserError where no pictures can be drawn here."""
    if find_spec("matplotlib") is None:
        raise UserError(
            "pictures are drawn by matplotlib, which is not installed: pip install 'widthwise[pictures]'"
        )


def front_picture(view: StudyView, kind: str) -> bytes:
    """Trials, front with errors, uniform schemes, float and the pick, by the first quality and cost.

    The same bytes each time. Raises UserError where there is nothing to draw, or nothing to draw it with.
    """
    check_pictures()
    if view.pair is None or view.pair[0] == view.pair[1] or not len(view.points.numbers):
        raise UserError(f"{view.study.name}: has no two figures by which trials could be drawn")
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=INCHES, dpi=DOTS, layout="constrained")
        FigureCanvasAgg(figure)
        _draw(figure.add_subplot(), view)
        out = io.BytesIO()
        metadata: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
        figure.savefig(out, format=kind, metadata=metadata)
    return out.getvalue()


@dataclass(frozen=True)
class _Points:
    """The drawn trials by two figures: across xs [k] and up ys [k]; rows by trial number."""

    xs: FloatArray
    ys: FloatArray
    rows: dict[int, int]


def _draw(axes: Axes, view: StudyView) -> None:
    assert view.pair is not None
    up, across = view.pair
    columns = {axis.name: number for number, axis in enumerate(view.axes)}
    values = view.points.values
    place = {number: row for row, number in enumerate(view.points.numbers.tolist())}
    points = _Points(values[:, columns[across.name]], values[:, columns[up.name]], place)
    _draw_trials(axes, view, points, up)
    _draw_marks(axes, view, points)
    known = view.study.record.settings.float_metrics
    drawn = [*points.xs[np.isfinite(points.xs)].tolist()]
    if across.name in known and up.name in known:
        error = view.study.sureness.errors.get(FLOAT, {}).get(up.name)
        where = (known[across.name], known[up.name])
        axes.errorbar(*where, yerr=error, fmt="*", color=COLOURS[2], ms=11, capsize=2, label="float")
        drawn.append(known[across.name])
    if across.is_cost and min(drawn, default=0) > 0 and max(drawn) / min(drawn) > FAR:
        axes.set_xscale("log")
    axes.set_xlabel(across.label)
    axes.set_ylabel(up.label)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.legend(frameon=False, fontsize=8)


def _draw_trials(axes: Axes, view: StudyView, points: _Points, up: Axis) -> None:
    rows = [row for row in view.front.rows if row.trial.number in points.rows]
    on_front = [points.rows[row.trial.number] for row in rows]
    rest = np.setdiff1d(np.arange(len(points.xs)), on_front)
    small: dict[str, Any] = {"s": 7, "color": FAINT, "alpha": 0.5, "linewidths": 0, "rasterized": True}
    axes.scatter(points.xs[rest], points.ys[rest], label="trials", **small)
    errors = np.array([row.errors.get(up.name, 0.0) for row in rows])
    axes.errorbar(
        points.xs[on_front],
        points.ys[on_front],
        yerr=errors if errors.any() else None,
        fmt="o-" if len(view.study.aim.directions) == 2 else "o",
        color=COLOURS[0],
        ms=4,
        lw=1.4,
        elinewidth=0.9,
        capsize=2,
        label="front",
    )


def _draw_marks(axes: Axes, view: StudyView, points: _Points) -> None:
    """Uniform schemes and the pick."""
    uniform = [one for one in view.baselines if one.number in points.rows]
    for number, one in enumerate(uniform):
        x, y = points.xs[points.rows[one.number]], points.ys[points.rows[one.number]]
        label = "uniform" if number == 0 else None
        axes.plot(x, y, "D", mfc="none", color=COLOURS[3], ms=7, label=label)
        below: dict[str, Any] = {"xytext": (6, -10), "textcoords": "offset points"}
        axes.annotate(one.label, (x, y), color=COLOURS[3], fontsize=8, **below)
    if view.pick is not None and view.pick.number in points.rows:
        row = points.rows[view.pick.number]
        axes.plot(points.xs[row], points.ys[row], "o", mfc="none", color=COLOURS[1], ms=11, label="picked")
