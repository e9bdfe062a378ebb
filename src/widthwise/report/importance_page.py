"""The importance of decisions as one HTML page that needs no network."""

from __future__ import annotations

from typing import Any

from widthwise.importance.result import Effects, Importance
from widthwise.report import importance as words
from widthwise.report.charts import COLOURS, Chart, chart_page, plotly_text
from widthwise.report.terminal import shown_choice

MOST_BARS = 30

NOTES = (
    "Shares of the variance of a metric over all candidates, each as likely as any other (functional ANOVA). "
    "Alone: what the decision does on average over all others. With others: that and all interactions that "
    "it takes part in, so that these shares may sum to more than 100 %.",
    "An estimate comes from a model of single decisions and pairs (kernel ridge regression), and its shares "
    "are of the model's variance; R² says how much of the variance of trials it predicts that were left out "
    "of its fit. A search's trials gather about its front, so an estimate is surer there than elsewhere.",
)


def importance_page(found: Importance) -> str:
    """The whole page: bars of shares, a map of pairs, single changes, and all tables."""
    charts = [chart for effects in found.effects for chart in (_bars(found, effects), *_maps(found, effects))]
    return chart_page(
        title=f"Importance of decisions in {found.study}",
        lines=words.heading_lines(found),
        warnings=words.caution_lines(found),
        charts=[*charts, *_changes(found)],
        sheets=words.sheets(found),
        notes=NOTES,
    )


def _bars(found: Importance, effects: Effects) -> Chart:
    ranked = found.ranked(effects)[:MOST_BARS]
    names = [plotly_text(found.decisions[i]) for i in ranked]
    alone = [float(effects.main[i]) for i in ranked]
    others = [float(max(effects.total[i] - effects.main[i], 0)) for i in ranked]
    common = {"type": "bar", "x": names}
    traces = (
        {**common, "y": alone, "name": "alone", "marker": {"color": COLOURS[0]}},
        {**common, "y": others, "name": "with others", "marker": {"color": COLOURS[5]}},
    )
    title = f"{effects.metric}: share of its variance"
    return Chart(f"bars-{effects.metric}", title, traces, "decision", "share", stacked=True)


def _maps(found: Importance, effects: Effects) -> list[Chart]:
    """The pairs' shares as a map of the decisions that matter most; none where there are no interactions."""
    ranked = sorted(found.ranked(effects)[:MOST_BARS])
    table = effects.pairs[ranked][:, ranked]
    if len(ranked) < 2 or not table.any():
        return []
    names = [plotly_text(found.decisions[i]) for i in ranked]
    trace: dict[str, Any] = {
        "type": "heatmap",
        "x": names,
        "y": names,
        "z": table.tolist(),
        "colorscale": [[0, "#ffffff"], [1, COLOURS[0]]],
        "zmin": 0,
    }
    title = f"{effects.metric}: interactions of two decisions, share of its variance"
    return [Chart(f"pairs-{effects.metric}", title, (trace,), "", "")]


def _changes(found: Importance) -> list[Chart]:
    """For each metric the single changes of the largest candidate, in the order of the network."""
    changes = found.sensitivity.changes
    charts = []
    for effects in found.effects if changes else ():
        name = effects.metric
        labels = [plotly_text(f"{change.decision} = {shown_choice(change.choice)}") for change in changes]
        values = [change.differences[name] for change in changes]
        trace = {"type": "bar", "x": labels, "y": values, "marker": {"color": COLOURS[0]}, "name": name}
        title = f"{name}: one change at a time from the largest candidate"
        charts.append(Chart(f"changes-{name}", title, (trace,), "change", f"difference of {name}"))
    return charts
