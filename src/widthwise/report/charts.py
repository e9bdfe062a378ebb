"""Pages of charts and tables in one file: plotly's script inside, all text escaped, nothing fetched."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from widthwise.core.finite import finite
from widthwise.report.sheets import Sheet

if TYPE_CHECKING:
    from widthwise.core.arrays import FloatArray

# Okabe and Ito's colours, which people who see few colours tell apart
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#333333", "#8c6d31")
DASHES = ("solid", "dash", "dot", "dashdot")

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; }
body { max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.chart { height: 430px; } .scroll { overflow-x: auto; margin-top: 1.5rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px; }
caption { text-align: left; color: #555; padding-bottom: .3rem; white-space: nowrap; }
th, td { text-align: left; padding: .25rem .7rem; border-bottom: 1px solid #ddd; white-space: nowrap; }
.number { text-align: right; } .warning { border-left: 4px solid #d55e00; padding-left: .7rem; }
"""

SCRIPT = """
for (const chart of JSON.parse(document.getElementById("charts").textContent)) {
  Plotly.newPlot(chart.key, chart.data, chart.layout, {responsive: true, displaylogo: false});
}
"""


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
            "hovermode": "closest",
            "barmode": "stack" if self.stacked else "group",
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
            "xaxis": {"title": {"text": plotly_text(self.x)}, "automargin": True},
            "yaxis": {
                "title": {"text": plotly_text(self.y)},
                "type": "log" if self.logarithmic else "-",
                "automargin": True,
            },
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
    from plotly.offline import get_plotlyjs

    elements = [f"chart-{number}" for number in range(len(charts))]  # names never become ids
    content = [chart.as_json(key) for chart, key in zip(charts, elements, strict=True)]
    drawn = "".join(
        f'<h2>{_text(chart.title)}</h2>\n<div class="chart" id="{key}" role="img" '
        f'aria-label="{_text(chart.title)}"></div>\n'
        for chart, key in zip(charts, elements, strict=True)
    )
    parts = [
        f"<h1>{_text(title)}</h1>",
        *(f"<p>{_text(line)}</p>" for line in lines),
        *(f'<p class="warning">{_text(line)}</p>' for line in warnings),
        drawn,
        *(_table(sheet) for sheet in sheets),
        *(["<h2>How it is measured</h2>"] if notes else []),
        *(f"<p>{_text(note)}</p>" for note in notes),
    ]
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{_text(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{STYLE}</style>\n'
        f"</head>\n<body>\n{body}\n"
        f'<script type="application/json" id="charts">{embedded(content)}</script>\n'
        f"<script>{get_plotlyjs()}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def embedded(content: Any) -> str:
    """JSON that may stand inside a script element: nothing in it can end the element; null for NaN."""
    text = json.dumps(finite(content), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _table(sheet: Sheet) -> str:
    def cell(tag: str, column: int, text: str) -> str:
        kind = ' class="number"' if sheet.holds_numbers(column) else ""
        scope = ' scope="col"' if tag == "th" else ""
        return f"<{tag}{scope}{kind}>{_text(text)}</{tag}>"

    head = "".join(cell("th", column, header) for column, header in enumerate(sheet.headers))
    rows = "\n".join(
        "<tr>" + "".join(cell("td", column, text) for column, text in enumerate(row)) + "</tr>"
        for row in sheet.rows
    )
    return (
        f'<div class="scroll"><table>\n<caption>{_text(sheet.title)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>"
    )


def _text(text: str) -> str:
    return html.escape(text)
