"""A study in the terminal: what is searched, the best trials, why it ended and where everything is."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.core.counting import count_text
from widthwise.core.figures import shown_figure
from widthwise.core.toml import shown_choice
from widthwise.metrics.catalogue import Metric
from widthwise.strategies.registry import REGISTRY
from widthwise.study.run_files import FILES
from widthwise.study.searching import is_searching

if TYPE_CHECKING:
    from widthwise.study.nearest import Near
    from widthwise.study.study import Study


def shown_number(metric: Metric | None, value: float) -> str:
    """A metric's value as people read it: shares, losses and sums (None) as figures, counts in full."""
    if not math.isfinite(value) or metric is None or not metric.is_hardware:
        return shown_figure(value)
    if value == round(value) or abs(value) >= 1e5:
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 1e3 else f"{value:.4g}"


def best_lines(study: Study, *, shown: int | None = None) -> list[str]:
    """What stands above the table of the best trials; and why there is none."""
    if not study.front:
        summary = study.summary
        if summary.trials == 0 and summary.cut:
            size = study.record.space.size
            proposed = f"the {summary.cut:,} of {count_text(size)} candidates that were proposed"
            which = f"all {count_text(size)} candidates" if summary.cut >= size else proposed
            return [f"No trial: {which} are out of bounds by their costs {_alone(study)}."]
        if summary.trials == 0:
            return [f"No trial: {study.finished}." if study.finished else "No trial yet."]
        if summary.trials == summary.failed + summary.stopped:
            return [f"No trial succeeded ({', '.join(_without_figures(study))})."]
        return ["No trial is within the bounds: " + ", ".join(_bounds(study)) + "."]
    rows = len(study.ties)
    left = f" ({shown} of {rows:,} rows; --all shows each)" if shown is not None and shown < rows else ""
    return [f"Best trial(s), cheapest first{left}:"]


def _alone(study: Study) -> str:
    return f"or can't be written as {study.target}" if study.target else "alone"


def _left_out(study: Study) -> str:
    """Why candidates were not evaluated."""
    same = ["the same network as another"] if study.each_once else []
    if same and not study.target and not study.record.settings.constraints:
        return same[0]
    written = [f"not to be written as {study.target}"] if study.target else []
    return " or ".join(["out of bounds by their costs", *written, *same])


def ending_lines(study: Study) -> list[str]:
    """How many trials there were, how long they took, and why the search ended."""
    summary = study.summary
    extra = _without_figures(study)
    extra += [f"{summary.cut:,} {_left_out(study)}, not evaluated"] if summary.cut else []
    plural = "" if summary.trials == 1 else "s"
    counts = f"{summary.trials:,} trial{plural}" + (f" ({', '.join(extra)})" if extra else "")
    took = f"{counts}{_of_all(study)} in {shown_seconds(study.seconds)}"
    if study.interrupted is not None:
        return [
            f"Stopped by {'Ctrl-C' if study.interrupted == 2 else 'SIGTERM'}: {took}; what is done is kept."
        ]
    if is_searching(study):
        return [f"{took}; the search goes on"]
    return [f"{took}; ended because: {study.finished or 'it was stopped'}"]


def _without_figures(study: Study) -> list[str]:
    """How many trials failed, and how many stopped early; nothing of what there is none of."""
    counts = {"failed": study.summary.failed, "stopped early": study.summary.stopped}
    return [f"{count:,} {how}" for how, count in counts.items() if count]


def _of_all(study: Study) -> str:
    """How many candidates there are, where a strategy that enumerates them has not come to the end."""
    settings, size = study.record.settings, study.record.space.size
    looked_at = study.summary.trials + study.summary.cut
    if looked_at >= size or (source := REGISTRY.get(settings.strategy or "")) is None:
        return ""
    enumerates = source.about is not None and not source.about.learns
    return f" of {count_text(size)} candidates" if enumerates else ""


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
