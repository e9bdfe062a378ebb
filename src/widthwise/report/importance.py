"""The importance of decisions in words and tables, as the terminal and the page both show it."""

from __future__ import annotations

from widthwise.core.counting import count_text
from widthwise.core.toml import shown_choice
from widthwise.metrics.catalogue import Metric
from widthwise.report.sheets import Sheet, plural
from widthwise.report.terminal import shown_number
from widthwise.study.importance.result import Effects, Importance, LayerChange

POOR_FIT = 0.5  # leave-one-out R² below which shares should not be trusted
LISTED = 8  # decisions in a line


def heading_lines(found: Importance) -> list[str]:
    """What was looked at, and how."""
    exact = all(effects.method == "exact" for effects in found.effects)
    how = (
        "exact: all combinations of these choices were evaluated"
        if exact
        else "estimated: a model of single decisions and pairs, fitted to the trials"
    )
    count = plural(found.trials, "trial")
    decisions = plural(len(found.decisions), "decision")
    return [
        f"{found.study}: {count} of {count_text(found.size)} candidates, "
        f"{decisions} that {'varies' if len(found.decisions) == 1 else 'vary'}",
        *_fixed_lines(found),
        how,
    ]


def _fixed_lines(found: Importance) -> list[str]:
    """Which decisions nothing can be told of: first, as the rest is of the others alone."""
    if not found.fixed:
        return []
    more = f" and {len(found.fixed) - LISTED} more" if len(found.fixed) > LISTED else ""
    return [f"the same in all trials, so not told of: {', '.join(found.fixed[:LISTED])}{more}"]


def sheets(found: Importance, *, top: int | None = None) -> list[Sheet]:
    """For each metric its layers, decisions and pairs, up to `top` rows each; then single changes."""
    tables = []
    for effects in found.effects:
        tables += layer_sheets(found, effects, top)
        tables += [decision_sheet(found, effects, top), *pair_sheets(found, effects, top)]
    return [*tables, *sensitivity_sheets(found, top)]


def layer_sheets(found: Importance, effects: Effects, top: int | None = None) -> list[Sheet]:
    """A row a layer, the greatest total share first, where layers say more than decisions."""
    if not found.has_layers:
        return []
    changes = {change.layer: change for change in found.sensitivity.layers}
    rows = tuple(
        (
            found.layers[i],
            _share(effects.layer_alone[i]),
            _share(effects.layer_total[i]),
            *(
                [_layer_change(changes.get(found.layers[i]), found.metrics[effects.metric])]
                if changes
                else []
            ),
        )
        for i in found.ranked_layers(effects)[:top]
    )
    last = ("smallest, others largest",) if changes else ()
    title = f"{effects.metric}: share of its variance by layer"
    return [Sheet(title, ("layer", "alone", "with others", *last), rows)]


def _layer_change(change: LayerChange | None, metric: Metric) -> str:
    return "-" if change is None else _difference(metric, change.differences[metric.name])


def decision_sheet(found: Importance, effects: Effects, top: int | None = None) -> Sheet:
    """A row a decision, the greatest total share first, with what each choice does to the metric."""
    metric = found.metrics[effects.metric]
    rows = tuple(
        (
            found.decisions[i],
            _share(effects.main[i]),
            _share(effects.total[i]),
            ", ".join(
                f"{shown_choice(choice)}: {_difference(metric, effect)}"
                for choice, effect in zip(found.choices[i], effects.by_choice[i].tolist(), strict=True)
            ),
        )
        for i in found.ranked(effects)[:top]
    )
    fit = "" if effects.fit is None else f"; R² of trials left out {effects.fit:.3f}"
    more = effects.method == "exact" and len(found.decisions) > 2
    rest = f", interactions of more than two {_share(effects.rest)}" if more else ""
    return Sheet(
        f"{effects.metric}: mean {shown_number(metric, effects.mean)}, share of its variance by "
        f"decision{rest}{fit}",
        ("decision", "alone", "with others", "what each choice adds to the mean"),
        rows,
        words=1,
    )


def pair_sheets(found: Importance, effects: Effects, top: int | None = None) -> list[Sheet]:
    """The pairs whose interaction has the greatest shares, where there are any."""
    rows = tuple(
        (found.decisions[i], found.decisions[j], _share(effects.pairs[i, j]))
        for i, j in found.ranked_pairs(effects)[:top]
        if effects.pairs[i, j] >= 0.0005  # not 0.0 %
    )
    title = f"{effects.metric}: share of its variance by pairs, beyond what both do alone"
    return [Sheet(title, ("first", "second", "share"), rows, left=2)] if rows else []


def sensitivity_sheets(found: Importance, top: int | None = None) -> list[Sheet]:
    """Single changes of the largest candidate, those that harm or help the first metric most first."""
    sensitivity = found.sensitivity
    if not sensitivity.changes:
        return []
    names = [effects.metric for effects in found.effects]
    ordered = sorted(sensitivity.changes, key=lambda change: -abs(change.differences[names[0]]))
    rows = tuple(
        (
            change.decision,
            f"{shown_choice(sensitivity.config[change.decision])} to {shown_choice(change.choice)}",
            str(change.trial),
            *(_difference(found.metrics[name], change.differences[name]) for name in names),
        )
        for change in ordered[:top]
    )
    own = sensitivity.metrics
    base = ", ".join(f"{name} {shown_number(found.metrics[name], own[name])}" for name in names)
    return [
        Sheet(
            f"One change at a time from the largest candidate (trial {sensitivity.base}: {base})",
            ("decision", "change", "trial", *names),
            rows,
            left=2,
        )
    ]


def caution_lines(found: Importance) -> list[str]:
    """What a reader should be warned of."""
    lines = []
    if found.not_kept:
        lines.append(
            f"only trials of the front were kept ({plural(found.not_kept, 'other')} not): what they say "
            "holds among the best alone; search with --keep all"
        )
    if found.left_out:
        lines.append(f"{plural(found.left_out, 'trial')} left out: failed, or more than a model is fitted to")
    lines += [
        f"{effects.metric}: the model predicts trials left out poorly (R² {effects.fit:.2f}); do not trust "
        "its shares, search on or evaluate all candidates"
        for effects in found.effects
        if effects.fit is not None and effects.fit < POOR_FIT
    ]
    sensitivity = found.sensitivity
    if sensitivity.base is None:
        done = "kept" if found.not_kept else "evaluated"
        lines.append(f"the largest candidate was not {done}, so single changes of it can't be told")
    elif sensitivity.missing:
        done = "kept" if found.not_kept else "evaluated"
        lines.append(f"{plural(sensitivity.missing, 'single change')} of the largest candidate not {done}")
    return lines


def _share(share: float) -> str:
    """12.3 %, and 0 % where there is none at all."""
    return f"{share:.1%}" if share else "0%"


def _difference(metric: Metric, value: float) -> str:
    """+0.012 or -3.5, in the metric's unit."""
    shown = shown_number(metric, abs(value))
    return shown if float(shown.replace(",", "")) == 0 else f"{'-' if value < 0 else '+'}{shown}"
