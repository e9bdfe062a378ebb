"""A study in the terminal: what is searched, the best trials, why it ended and where everything is."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.core.toml import shown_choice
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.spread import SIGMAS, SPREAD
from widthwise.strategies.registry import REGISTRY
from widthwise.study.run_files import FILES
from widthwise.study.sureness import FLOAT

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from widthwise.study.nearest import Near
    from widthwise.study.study import Study
    from widthwise.study.ties import Tie
    from widthwise.study.trials import Trial

MOST_ROWS = 30
NOISY = " ≈"  # after the number of a trial that can't be told from another
COLUMNS = ("number", "software_metrics", "hardware_metrics", "scaled_metrics")
Row = tuple[str, Mapping[str, float], Mapping[str, float], Mapping[str, float], Mapping[str, float]]
"""Its number, the metrics of each column, and the standard errors of the software metrics."""


def shown_number(metric: Metric | None, value: float) -> str:
    """A metric's value as people read it: shares, losses and sums (None) to three places, counts in full."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinite"
    if metric is None or not metric.is_hardware:
        return f"{value:.3f}"
    if value == round(value) or abs(value) >= 1e5:
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 1e3 else f"{value:.4g}"


def shown_metrics(
    metrics: Mapping[str, float], known: Mapping[str, Metric], errors: Mapping[str, float] | None = None
) -> list[str]:
    """`accuracy 0.728` for each; with its spread or error where it has one: `accuracy 0.728 ± 0.004`."""
    found = []
    for name, value in metrics.items():
        if name.endswith(SPREAD) and name.removesuffix(SPREAD) in metrics:
            continue
        spread = metrics.get(name + SPREAD, (errors or {}).get(name))
        more = "" if spread is None else f" ± {shown_number(known.get(name), spread)}"
        found.append(f"{name} {shown_number(known.get(name), value)}{more}")
    return found


def best_table(study: Study, width: int, *, most: int = MOST_ROWS) -> RenderableType:
    """The trials of the front, and the float network to compare with, for a terminal of `width` columns."""
    noisy = study.within_noise
    rows = [
        _trial_row(study, tie.trial, mark=_alike(tie) + (NOISY if tie.trial.number in noisy else ""))
        for tie in study.ties[:most]
    ]
    if study.record.settings.float_metrics:
        rows.append(_float_row(study))
    return _table(rows, width, {metric.name: metric for metric in study.record.metrics})


def trial_table(study: Study, trial: Trial, width: int) -> RenderableType:
    """One trial beside the float network."""
    rows = [_trial_row(study, trial)]
    if study.record.settings.float_metrics:
        rows.append(_float_row(study))
    return _table(rows, width, {metric.name: metric for metric in study.record.metrics})


def best_lines(study: Study, *, most: int = MOST_ROWS) -> list[str]:
    """What stands above the table of the best trials; and why there is none."""
    if not study.front:
        summary = study.summary
        if summary.trials == 0 and summary.cut:
            size = study.record.space.size
            proposed = f"the {summary.cut:,} of {size:,} candidates that were proposed"
            which = f"all {size:,} candidates" if summary.cut >= size else proposed
            return [f"No trial: {which} are out of bounds by their costs alone."]
        if summary.trials == 0:
            return [f"No trial: {study.finished}." if study.finished else "No trial yet."]
        if summary.trials == summary.failed:
            return [f"No trial succeeded ({summary.failed:,} failed)."]
        return ["No trial is within the bounds: " + ", ".join(_bounds(study)) + "."]
    count = len(study.ties)
    left = f" (the first {most} of {count}; --all shows the others)" if count > most else ""
    return [f"Best trial(s){left}:"]


def tie_lines(study: Study) -> list[str]:
    """What the numbers of rows mean that stand for several trials; none where there is no such row."""
    return ["(+N): N more with equal objectives"] if any(tie.alike for tie in study.ties) else []


def noise_lines(study: Study) -> list[str]:
    """What ± means, and the mark of rows that can't be told from others; none where there is neither."""
    lines = []
    if samples := study.sureness.samples:
        lines.append(f"±: one standard error, on the {samples:,} samples that trials were judged on")
    if like := study.like_float:
        numbers = ", ".join(map(str, like[:MOST_ROWS])) + (" …" if len(like) > MOST_ROWS else "")
        names = [name for name in study.aim.names if name in study.sureness.close]
        lines.append(f"by {' and '.join(names)} no different from float: {numbers}")
    if not study.within_noise:
        return lines
    if study.repeats == 1:
        names = [name for name in study.aim.names if name in study.sureness.close]
        return [
            *lines,
            f"{NOISY.strip()} by {' and '.join(names)} no different from another row: within {SIGMAS:g} "
            "standard errors of their difference on these samples (front.json says of which)",
        ]
    names = [name for name in study.aim.names if name + SPREAD in study.record.columns]
    return [
        f"{NOISY.strip()} by {' and '.join(names)} no different from another row: within {SIGMAS:g} standard "
        f"errors over {study.repeats} seeds (front.json says of which)"
    ]


def ending_lines(study: Study) -> list[str]:
    """How many trials there were, how long they took, and why the search ended."""
    summary = study.summary
    extra = [f"{summary.failed:,} failed"] if summary.failed else []
    extra += [f"{summary.cut:,} out of bounds by their costs, not evaluated"] if summary.cut else []
    plural = "" if summary.trials == 1 else "s"
    counts = f"{summary.trials:,} trial{plural}" + (f" ({', '.join(extra)})" if extra else "")
    took = f"{counts}{_of_all(study)} in {shown_seconds(study.seconds)}"
    if study.interrupted is not None:
        return [
            f"Stopped by {'Ctrl-C' if study.interrupted == 2 else 'SIGTERM'}: {took}; what is done is kept."
        ]
    return [f"{took}; ended because: {study.finished or 'it was stopped'}"]


def _of_all(study: Study) -> str:
    """How many candidates there are, where a strategy that enumerates them has not come to the end."""
    settings, size = study.record.settings, study.record.space.size
    looked_at = study.summary.trials + study.summary.cut
    if looked_at >= size or (source := REGISTRY.get(settings.strategy or "")) is None:
        return ""
    enumerates = source.about is not None and not source.about.learns
    return f" of {size:,} candidates" if enumerates else ""


def where_lines(study: Study, folder: Path) -> list[str]:
    """Where results are, and the commands that go on from here."""
    quoted = shlex.quote(str(folder))
    there = [name for name in FILES if (folder / name).is_file()]
    lines = [
        f"Results: {quoted} ({', '.join(there)})",
        f"See them again: widthwise report {quoted}    every trial: widthwise trials {quoted}",
    ]
    if study.finished is None:
        lines.append(f"Go on: {resume_command(folder)}")
    return lines


def resume_command(folder: Path) -> str:
    """The command that goes on with a run: its resolved config has all options in it."""
    return shlex.join(["widthwise", "search", str(folder / "config.toml"), "--resume", "--out", str(folder)])


def near_lines(near: Sequence[Near]) -> list[str]:
    """What comes nearest to the bounds, by how much each misses which, and what the first of them is."""
    if not near:
        return []
    lines = ["The nearest:", *(f"  {found}" for found in near)]
    if near[0].number is None:  # a trial can be looked at by its number
        lines += ["The first of them chooses:", *config_lines(near[0].config)]
    return lines


def config_lines(config: Mapping[str, Any]) -> list[str]:
    """What a trial chooses, a layer a line."""
    layers: dict[str, list[str]] = {}
    for name, value in config.items():
        layer, _, key = name.rpartition("/")
        layers.setdefault(layer, []).append(f"{key} {shown_choice(value)}" if layer else f"{key} {value}")
    return [f"  {layer + ': ' if layer else ''}{', '.join(parts)}" for layer, parts in layers.items()]


def shown_seconds(seconds: float) -> str:
    """0.35 s, 12.4 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    if minutes < 120:
        return f"{minutes} min {int(seconds % 60)} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _bounds(study: Study) -> list[str]:
    return [str(constraint) for constraint in study.record.settings.constraints]


def _alike(tie: Tie) -> str:
    return f" (+{len(tie.alike):,})" if tie.alike else ""


def _trial_row(study: Study, trial: Trial, *, mark: str = "") -> Row:
    errors = study.sureness.errors.get(trial.number, {})
    return (
        f"{trial.number}{mark}",
        trial.software_metrics,
        trial.hardware_metrics,
        trial.scaled_metrics,
        errors,
    )


def _float_row(study: Study) -> Row:
    settings = study.record.settings
    known = settings.float_metrics
    of_network = {metric.name for metric in study.record.metrics if metric.is_hardware}
    software = {name: value for name, value in known.items() if name not in of_network}
    hardware = {name: value for name, value in known.items() if name in of_network}
    label = "untrained" if settings.untrained else "float"
    return label, software, hardware, study.aim.scaled(known), study.sureness.errors.get(FLOAT, {})


def _table(rows: Sequence[Row], width: int, known: Mapping[str, Metric]) -> RenderableType:
    """A line a row where the terminal is wide enough, else a metric a line, else a block a row."""
    cells = [
        (
            number,
            shown_metrics(software, known, errors),
            *(shown_metrics(column, known) for column in others),
        )
        for number, software, *others, errors in rows
    ]
    numbers = max(len(str(row[0])) for row in cells)
    for separator in (", ", "\n"):
        columns = [[separator.join(row[column]) for row in cells] for column in (1, 2, 3)]
        needed = [
            max(map(_longest_line, [*column, name]))
            for column, name in zip(columns, COLUMNS[1:], strict=True)
        ]
        if max(numbers, len(COLUMNS[0])) + sum(needed) + 9 <= width:  # three blanks between columns
            return _aligned(cells, separator)
    return _blocks(cells)


def _longest_line(text: str) -> int:
    return max(map(len, text.split("\n")))


def _aligned(cells: Sequence[tuple[Any, ...]], separator: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in COLUMNS:
        table.add_column(name, justify="right" if name == "number" else "left", overflow="fold")
    for number, *parts in cells:
        table.add_row(str(number), *(separator.join(part) for part in parts))
    return table


def _blocks(cells: Sequence[tuple[Any, ...]]) -> Text:
    from rich.text import Text

    lines = []
    for number, *parts in cells:
        lines.append(f"number: {number}")
        for name, part in zip(COLUMNS[1:], parts, strict=True):
            lines += [f"  {name}:", *(f"    {metric}" for metric in part)]
    return Text("\n".join(lines))
