"""A comparison of strategies as one HTML page that needs no network: curves, tables, how it was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from widthwise.report import comparing as words
from widthwise.report.charts import Chart, band, chart_page
from widthwise.search.comparing.result import Comparison, Outcome, quartiles

if TYPE_CHECKING:
    from widthwise.core.arrays import FloatArray

MOST_POINTS = 400  # of a curve: more can't be seen


def compare_page(comparison: Comparison) -> str:
    """The whole page; medians over the seeds as lines, quartiles as bands."""
    return chart_page(
        title=f"Strategies compared on {comparison.task}",
        lines=words.heading_lines(comparison),
        warnings=words.caution_lines(comparison),
        charts=charts(comparison),
        sheets=words.sheets(comparison, all_metrics=True),
        notes=NOTES,
    )


NOTES = (
    "Share: the hypervolume of the front of the first n evaluations, divided by that of the front named "
    "above. Every objective is scaled to [0, 1] between its worst and its best known value; the reference "
    "point lies 1 % of the range beyond the worst in every objective.",
    "A line is the median over the seeds, its band reaches from the lower to the upper quartile. What ended "
    "before the budget keeps its last value.",
    "Own time is what a strategy spends in proposing and learning; evaluations are looked up, and cost it "
    "nothing.",
)


def charts(comparison: Comparison) -> list[Chart]:
    """Share of the hypervolume, the best of each metric, objectives first, and own time, over evaluations."""
    found = [
        _chart(
            "share", "Share of the hypervolume", comparison, {o.label: o.share for o in comparison.outcomes}
        )
    ]
    for name in dict.fromkeys([*words.objectives_among(comparison), *comparison.directions]):
        series = {outcome.label: outcome.best[name] for outcome in comparison.outcomes}
        found.append(_chart(f"best-{name}", f"Best {name} so far", comparison, series))
    own = {outcome.label: _own(outcome) for outcome in comparison.outcomes}
    found.append(_chart("own", "Own time so far, seconds", comparison, own, logarithmic=True))
    return found


def _chart(
    key: str,
    title: str,
    comparison: Comparison,
    series: dict[str, FloatArray],
    *,
    logarithmic: bool = False,
) -> Chart:
    rows = _rows(comparison.budget)
    traces: list[dict[str, Any]] = []
    for number, (label, values) in enumerate(series.items()):
        low, middle, high = quartiles(values[:, rows])
        traces += band(label, number, [row + 1 for row in rows], low, middle, high)
    axes = {"x": "evaluations", "y": title}
    return Chart(key, title, tuple(traces), axes["x"], axes["y"], logarithmic=logarithmic)


def _own(outcome: Outcome) -> FloatArray:
    """Own seconds [S, B], never 0: a logarithmic axis has no place for that."""
    seconds: FloatArray = outcome.own_seconds.clip(min=1e-7)
    return seconds


def _rows(budget: int) -> list[int]:
    """Which evaluations are drawn, from 0: all, or evenly spread with both ends."""
    if budget <= MOST_POINTS:
        return list(range(budget))
    return sorted({round(i * (budget - 1) / (MOST_POINTS - 1)) for i in range(MOST_POINTS)})
