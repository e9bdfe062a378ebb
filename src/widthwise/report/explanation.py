"""An explanation in words and tables that fit one screen; pages say the same in these words."""

from __future__ import annotations

import math
from collections.abc import Mapping

from widthwise.core.toml import shown_choice
from widthwise.metrics.catalogue import Metric
from widthwise.report.sheets import Sheet, plural
from widthwise.report.terminal import shown_number
from widthwise.study.explanation import Against, Change, Explanation, Mixing

ROWS = 6  # of the table of tensors
BARGAINS = 3
STRONGEST = 3  # pairs

Metrics = Mapping[str, Metric | None]


def heading_line(found: Explanation, metrics: Metrics) -> str:
    """Which trial, and what it has."""
    base = found.base("pick")
    named = [name for name in (found.quality, found.cost) if name is not None]
    shown = [f"{name} {shown_number(metrics[name], base.metrics[name])}" for name in named] if base else []
    floats = found.base("float")
    if floats is not None and found.quality is not None:
        shown.append(f"in float {shown_number(metrics[found.quality], floats.metrics[found.quality])}")
    return f"{found.study}: trial {found.pick} ({found.rule}){': ' if shown else ''}{', '.join(shown)}"


def damage_sheet(found: Explanation, metrics: Metrics, *, most: int | None = ROWS) -> Sheet | None:
    """A row a tensor: what its format does alone, and what putting it back to float does."""
    floats, quality = found.base("float"), found.quality
    if floats is None or quality is None or not floats.moves:
        return None
    back = {change.name: change for change in found.restored}
    changes = [floats.changes[number] for number in floats.moves]
    rows = tuple(
        (
            change.name,
            str(change.after),
            signed(metrics[quality], change.differences[quality]),
            signed(metrics[quality], back[change.name].differences[quality]) if change.name in back else "-",
        )
        for change in changes[:most]
    )
    title = f"What each tensor's format does to {quality}{_of(len(rows), len(changes))}"
    return Sheet(title, ("tensor", "format", "alone in float", "put back to float"), rows, left=2)


def pair_lines(found: Explanation, metrics: Metrics) -> list[str]:
    """The pairs around float that do most beyond the sum of what each does."""
    floats, quality = found.base("float"), found.quality
    if floats is None or quality is None or floats.pairs is None:
        return []
    table = floats.pairs[quality]
    names = [floats.changes[number].name for number in floats.moves]
    every = [
        (value, names[a], names[b])
        for a, row in enumerate(table)
        for b, value in enumerate(row[:a])
        if value is not None and value != 0
    ]
    every.sort(key=lambda one: -abs(one[0]))
    shown = [
        f"{one} and {other} {signed(metrics[quality], value)}" for value, one, other in every[:STRONGEST]
    ]
    return [f"Together beyond the sum of each: {'; '.join(shown)}"] if shown else []


def bargain_sheet(found: Explanation, metrics: Metrics) -> Sheet | None:
    """What to give next, and what to take."""
    base, quality, cost = found.base("pick"), found.quality, found.cost
    if base is None or quality is None or cost is None:
        return None
    rows = [
        (
            what,
            change.name,
            f"{shown_choice(change.before)} to {shown_choice(change.after)}",
            signed(metrics[quality], change.differences[quality]) + _error(metrics[quality], change),
            signed(metrics[cost], change.differences[cost]),
        )
        for what, numbers in (("give", found.give), ("take", found.take))
        for change in [base.changes[number] for number in numbers[:BARGAINS]]
    ]
    if not rows:
        return None
    return Sheet(
        "The best single changes of it", ("", "decision", "choice", quality, cost), tuple(rows), left=3
    )


def mixing_lines(found: Mixing, metrics: Metrics) -> list[str]:
    """In words whether mixing helped, a line for each kind of baselines."""
    return [_mixing_line(found, one, metrics) for one in found.against]


def _mixing_line(found: Mixing, against: Against, metrics: Metrics) -> str:
    what = {"uniform": "uniform schemes", "naive": "lowering one decision after another"}[against.baselines]
    on = f"on {found.samples:,} {found.part} samples" if found.samples else f"on {found.part} samples"
    met = [one for one in against.meetings if one.better is not None]
    volumes = f"hypervolume {found.hypervolume:.3f} against {against.hypervolume:.3f}"
    if not met or against.better is None:
        return f"Mixing against {what}: no trial of the front is as cheap as any of them"
    mean = f"mean of {len(met)}, {on}"
    if against.verdict == "equal":
        said = f"the front has nothing better at equal {found.cost}"
        return f"Mixing against {what}: {said} ({mean}); {volumes}"
    metric = metrics[found.quality]
    by = signed(metric, against.better)
    if against.error is not None:
        by += f" ± {shown_number(metric, against.error)}"
    said = {
        "better": "the front is better",
        "worse": "the front is worse",
        "unclear": "no difference can be told",
    }[against.verdict]
    how = f"at equal {found.cost}, by {by} in {found.quality} (better is +; {mean})"
    return f"Mixing against {what}: {said} {how}; {volumes}"


def advice_line(found: Explanation) -> str:
    """How much of the space the front has no use for."""
    advice = found.advice
    never = sum(len(one.never) for one in advice.decisions)
    every = sum(len(one.choices) for one in advice.decisions)
    if advice.config is None:
        some = f"; {never} of {plural(every, 'choice')} never appear on the front" if never else ""
        return f"No config of a next search: {advice.why_not}{some}"
    missing = sum(len(one.missing) for one in advice.decisions)
    ends = f", {missing} beyond the ends are missing" if missing else ""
    return f"{never} of {plural(every, 'choice')} never appear on the front{ends}"


def signed(metric: Metric | None, value: float) -> str:
    """+0.012 or -3.5, in the metric's unit."""
    if not math.isfinite(value):
        return shown_number(metric, value)
    shown = shown_number(metric, abs(value))
    return shown if float(shown.replace(",", "")) == 0 else f"{'-' if value < 0 else '+'}{shown}"


def _error(metric: Metric | None, change: Change) -> str:
    return "" if change.error is None else f" ± {shown_number(metric, change.error)}"


def _of(shown: int, count: int) -> str:
    return "" if shown == count else f" ({shown} of {count})"
