"""A study in a few sentences: what was searched, what the pick saves and loses, how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from widthwise.core.counting import count_text
from widthwise.metrics.spread import SIGMAS
from widthwise.report.shown.axes import Axis
from widthwise.report.shown.front import errors_of
from widthwise.report.terminal import ending_lines, shown_number
from widthwise.study.sureness import FLOAT

if TYPE_CHECKING:
    from widthwise.study.study import Study
    from widthwise.study.trials import Trial


def searched_line(study: Study) -> str:
    """What was searched, on what data, by whom, how many candidates in what time."""
    settings, space = study.record.settings, study.record.space
    size = f"{count_text(space.size)} candidate{'' if space.size == 1 else 's'}"
    decisions = f"{len(space.decisions):,} decision{'' if len(space.decisions) == 1 else 's'}"
    data = f" on {settings.data}" if settings.data else ""
    by = f" by {settings.strategy}" if settings.strategy else ""
    return (
        f"Searched{by}: {size} from {decisions} of "
        f"{settings.model or 'a network'}{data}. {ending_lines(study)[0].removesuffix('.')}."
    )


def pick_lines(study: Study, trial: Trial | None, rule: str | None, axes: tuple[Axis, ...]) -> list[str]:
    """What the pick saves against float, what that costs in quality, and how sure that is."""
    if trial is None:
        return []
    float_metrics = study.record.settings.float_metrics
    how = f"by {rule!r}" if rule is not None else "the knee of the front"
    objectives = [axis for axis in axes if axis.objective]
    own = study.sureness.errors.get(FLOAT, {})
    name = "the untrained network" if study.record.settings.untrained else "float"
    qualities = [_quality(study, trial, axis, float_metrics, own) for axis in objectives if not axis.is_cost]
    costs = [_cost(trial, axis, float_metrics) for axis in objectives if axis.is_cost]
    lines = [
        f"Picked, {how}: trial {trial.number}, "
        + ", ".join([*costs, *qualities])
        + (f" ({name}: in brackets)." if float_metrics else ".")
    ]
    if trial.number in study.like_float:
        lines.append(
            f"By its objectives of quality it is no different from float: within {SIGMAS:g} standard errors."
        )
    if samples := study.sureness.samples:
        lines.append(f"±: one standard error, on the {samples:,} samples that trials were judged on.")
    elif study.repeats > 1:
        lines.append(f"±: one standard error over {study.repeats} trainings.")
    else:
        lines.append("How sure these figures are is not kept in this run.")
    return lines + on_test_lines(study, trial.number, axes)


def found_line(study: Study, trial: Trial, axes: tuple[Axis, ...]) -> str:
    """A trial for who sees the first one: `trial 9 needs average_bitwidth 4, where float has 32 …`."""
    known, errors = study.record.settings.float_metrics, errors_of(study, trial)
    own = study.sureness.errors.get(FLOAT, {})
    name = "the untrained network" if study.record.settings.untrained else "float"
    objectives = sorted((axis for axis in axes if axis.objective), key=lambda axis: not axis.is_cost)
    words = []
    for axis in objectives:
        value, whole = trial.metrics[axis.name], known.get(axis.name, math.nan)
        said = f"{axis.name} {with_error(axis, value, errors.get(axis.name))}"
        if math.isfinite(whole):
            said += f" where {name} has {with_error(axis, whole, own.get(axis.name))}"
        if axis.is_cost and not axis.maximize and value and whole / value > 1:
            said += f" ({whole / value:.1f} times less)"
        words.append(said)
    what = "the best" if len(study.aim.directions) == 1 else "the knee of the front"
    return f"trial {trial.number}, {what}, has {', and '.join(words)}."


def on_test_words(study: Study, number: int, axis: Axis) -> str:
    """What a trial, or FLOAT, is worth on test data: `0.956 ± 0.019`; nothing where it was not judged."""
    kept, name = study.tested, axis.name
    if name not in kept.figures.get(number, {}):
        return ""
    return with_error(axis, kept.figures[number][name], kept.errors.get(number, {}).get(name))


def on_test_lines(study: Study, number: int, axes: tuple[Axis, ...], *, named: bool = False) -> list[str]:
    """What a trial and float are worth on test data, where the run keeps that: of a few figures, a line.

    named: with the trial's number.
    """
    kept = study.tested
    own = kept.figures.get(FLOAT, {})
    words = []
    for axis in axes:
        if shown := on_test_words(study, number, axis):
            beside = on_test_words(study, FLOAT, axis)
            words.append(f"{axis.name} {shown}" + (f" [{beside}]" if beside else ""))
    if not words:
        return []
    return [
        f"On the {kept.samples:,} test samples, which no candidate was chosen by: "
        + (f"trial {number}, " if named else "")
        + ", ".join(words)
        + (" (float: in brackets)" if own else "")
    ]


def _cost(trial: Trial, axis: Axis, known: Mapping[str, float]) -> str:
    value, metric = trial.metrics[axis.name], axis.metric
    shown = f"{axis.name} {shown_number(metric, value)}"
    whole = known.get(axis.name, math.nan)
    if not math.isfinite(whole):
        return shown
    ratio = whole / value if value else math.inf
    times = f", {ratio:.1f} times less" if ratio > 1 and math.isfinite(ratio) and not axis.maximize else ""
    return f"{shown} [{shown_number(metric, whole)}{times}]"


def _quality(
    study: Study, trial: Trial, axis: Axis, known: Mapping[str, float], own: Mapping[str, float]
) -> str:
    value = trial.metrics[axis.name]
    shown = f"{axis.name} {with_error(axis, value, errors_of(study, trial).get(axis.name))}"
    whole = known.get(axis.name, math.nan)
    if not math.isfinite(whole):
        return shown
    error = own.get(axis.name)
    return f"{shown} [{with_error(axis, whole, error)}, {value - whole:+.3g}]"


def with_error(axis: Axis, value: float, error: float | None) -> str:
    """`0.634 ± 0.034`."""
    more = "" if error is None or not math.isfinite(error) else f" ± {shown_number(axis.metric, error)}"
    return shown_number(axis.metric, value) + more
