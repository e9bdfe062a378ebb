"""Studies in notebooks and at a prompt: figures, one screen of text, HTML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from widthwise.core.files import write_atomically
from widthwise.core.screen import LINES, html_table, one_screen
from widthwise.report.choosing import front_lines
from widthwise.report.figures import front_figure, history_figure, layers_figure
from widthwise.report.page.study import study_page
from widthwise.report.shown.front import front_view
from widthwise.report.shown.overview import searched_line, with_error
from widthwise.report.shown.view import study_view
from widthwise.report.terminal import best_lines
from widthwise.study.study import Study

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

WIDTH = 100
ROWS = LINES - 6  # of the front, in a screen


def write_page(study: Study, path: str | Path, rule: str | None) -> Path:
    """The study as a page in a file."""
    place = Path(path).expanduser()
    write_atomically(place, study_page(study, rule=rule).encode())
    return place


def plot_front(study: Study, x: str | None, y: str | None) -> Figure:
    """See `front_figure`."""
    return front_figure(study_view(study), x=x, y=y)


def plot_layers(study: Study) -> Figure:
    """See `layers_figure`."""
    return layers_figure(study_view(study))


def plot_history(study: Study) -> Figure:
    """See `history_figure`."""
    return history_figure(study_view(study))


def text(study: Study) -> str:
    """A study in one screen: what it is, and its front."""
    view = front_view(study, most=ROWS)
    lines = [f"Study {study.name}", searched_line(study)]
    if not study.front:
        return one_screen([*lines, *best_lines(study)])
    table = front_lines(study, view, WIDTH)
    return one_screen([*lines, *best_lines(study, shown=len(view.shown)), *table], most=2 * LINES)


def markup(study: Study) -> str:
    """A study for a notebook: what it is, and its front as a table."""
    view = front_view(study)
    if not study.front:
        return html_table(
            f"Study {study.name}",
            ["", ""],
            [["", line] for line in (searched_line(study), *best_lines(study))],
        )
    axes = view.axes
    rows = [
        [
            str(row.trial.number),
            *(with_error(axis, row.trial.metrics[axis.name], row.errors.get(axis.name)) for axis in axes),
            row.choices,
        ]
        for row in view.shown
    ]
    title = f"Study {study.name}: {searched_line(study)}"
    return html_table(title, ["trial", *(axis.name for axis in axes), "chooses"], rows)
