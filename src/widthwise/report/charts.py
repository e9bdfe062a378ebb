"""Pages of charts and tables: given as plotly takes them, drawn when the page is opened."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from widthwise.report.document import chart_element, document, paragraphs, sheet_table, text
from widthwise.report.sheets import Sheet

if TYPE_CHECKING:
    from widthwise.core.arrays import FloatArray

# Okabe and Ito's colours, which people who see few colours tell apart
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#808080", "#8c6d31")
DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass(frozen=True)
class Chart:
    """A chart of a page: its element's id, its heading, plotly's traces, the names of the axes."""

    key: str
    title: str
    traces: tuple[dict[str, Any], ...]
    x: str
    y: str
    logarithmic: bool = False
    stacked: bool = False

    def as_json(self, element: str) -> dict[str, Any]:
        """As the page's script takes it."""
        layout = {
            "margin": {"t": 60, "r": 20, "l": 80},
            "barmode": "stack" if self.stacked else "group",
            "xaxis": {"title": {"text": plotly_text(self.x)}},
            "yaxis": {"title": {"text": plotly_text(self.y)}, "type": "log" if self.logarithmic else "-"},
        }
        return {"key": element, "data": list(self.traces), "layout": layout}


def plotly_text(text: str) -> str:
    """Text that plotly shows as it is: it reads some HTML in names."""
    return html.escape(text, quote=False)


def band(
    label: str, number: int, x: Sequence[float], low: FloatArray, middle: FloatArray, high: FloatArray
) -> list[dict[str, Any]]:
    """A line through `middle` in its band, the number-th of a chart."""
    colour = COLOURS[number % len(COLOURS)]
    common = {"x": list(x), "mode": "lines", "legendgroup": str(number), "type": "scatter"}
    line = {"color": colour, "dash": DASHES[number // len(COLOURS) % len(DASHES)], "shape": "hv"}
    edge = {**common, "line": {"width": 0, "shape": "hv"}, "showlegend": False, "hoverinfo": "skip"}
    return [
        {**edge, "y": low.tolist()},
        {**edge, "y": high.tolist(), "fill": "tonexty", "fillcolor": colour + "26"},
        {**common, "y": middle.tolist(), "name": plotly_text(label), "line": line},
    ]


def chart_page(
    *,
    title: str,
    lines: Sequence[str],
    warnings: Sequence[str],
    charts: Sequence[Chart],
    sheets: Sequence[Sheet],
    notes: Sequence[str] = (),
) -> str:
    """The page: heading, what a reader should be warned of, charts, tables, how it was measured."""
    elements = [f"chart-{number}" for number in range(len(charts))]  # names never become ids
    content = [chart.as_json(key) for chart, key in zip(charts, elements, strict=True)]
    drawn = "\n".join(
        f"<h2>{text(chart.title)}</h2>\n{chart_element(key, chart.title)}"
        for chart, key in zip(charts, elements, strict=True)
    )
    parts = [
        paragraphs(lines),
        paragraphs(warnings, "warning"),
        drawn,
        *(sheet_table(sheet) for sheet in sheets),
        *(["<h2>How it is measured</h2>"] if notes else []),
        paragraphs(notes),
    ]
    return document(title=title, body="\n".join(parts), data={"charts": content}, scripts=["charts.js"])
