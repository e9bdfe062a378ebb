"""The importance of decisions as one HTML page that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from widthwise.core.toml import shown_choice
from widthwise.report import importance as words
from widthwise.report.charts import COLOURS, Chart, chart_page, plotly_text
from widthwise.study.importance.result import Effects, Importance

if TYPE_CHECKING:
    from widthwise.core.arrays import FloatArray

MOST_BARS = 30

NOTES = (
    "Shares of the variance of a metric over all candidates, each as likely as any other (functional ANOVA). "
    "Alone: what the decision does on average over all others. With others: that and all interactions that "
    "it takes part in, so that these shares may sum to more than 100 %. A layer's share is that of all its "
    "decisions together.",
    "An estimate comes from a model of single decisions and pairs (kernel ridge regression), and its shares "
    "are of the model's variance; R² says how much of the variance of trials it predicts that were left out "
    "of its fit. A search's trials gather about its front, so an estimate is surer there than elsewhere.",
)


def importance_page(found: Importance) -> str:
    """The whole page: bars of shares, a map of pairs, single changes, and all tables."""
    charts = [
        chart
        for effects in found.effects
        for chart in (*_layers(found, effects), _bars(found, effects), *_maps(found, effects))
    ]
    return chart_page(
        title=f"Importance of decisions in {found.study}",
        lines=words.heading_lines(found),
        warnings=words.caution_lines(found),
        charts=[*charts, *_changes(found)],
        sheets=words.sheets(found),
        notes=NOTES,
    )


def _layers(found: Importance, effects: Effects) -> list[Chart]:
    """Bars of the layers' shares, and of what each loses at its smallest, as far as they say more."""
    if not found.has_layers:
        return []
    metric, order = effects.metric, found.ranked_layers(effects)[:MOST_BARS]
    names = [found.layers[i] for i in order]
    traces = _stacked(names, effects.layer_alone[order], effects.layer_total[order])
    charts = [
        Chart(
            f"layers-{metric}",
            f"{metric}: share of its variance by layer",
            traces,
            "layer",
            "share",
            stacked=True,
        )
    ]
    if changes := found.sensitivity.layers:
        trace = {
            "type": "bar",
            "x": [plotly_text(change.layer) for change in changes],
            "y": [change.differences[metric] for change in changes],
            "marker": {"color": COLOURS[0]},
        }
        title = f"{metric}: each layer at its smallest, all others at their largest"
        charts.append(Chart(f"smallest-{metric}", title, (trace,), "layer", f"difference of {metric}"))
    return charts


def _bars(found: Importance, effects: Effects) -> Chart:
    ranked = found.ranked(effects)[:MOST_BARS]
    names = [found.decisions[i] for i in ranked]
    traces = _stacked(names, effects.main[ranked], effects.total[ranked])
    title = f"{effects.metric}: share of its variance by decision"
    return Chart(f"bars-{effects.metric}", title, traces, "decision", "share", stacked=True)


def _stacked(names: Sequence[str], alone: FloatArray, total: FloatArray) -> tuple[dict[str, Any], ...]:
    """Bars of shares alone, and on top of them what interactions add."""
    common = {"type": "bar", "x": [plotly_text(name) for name in names]}
    others = (total - alone).clip(min=0).tolist()
    return (
        {**common, "y": alone.tolist(), "name": "alone", "marker": {"color": COLOURS[0]}},
        {**common, "y": others, "name": "interactions", "marker": {"color": COLOURS[5]}},
    )


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
        trace = {"type": "bar", "x": labels, "y": values, "marker": {"color": COLOURS[0]}}
        title = f"{name}: one change at a time from the largest candidate"
        charts.append(Chart(f"changes-{name}", title, (trace,), "change", f"difference of {name}"))
    return charts
