"""A front to choose from in the terminal: a row a trial, cheapest first, with what it chooses."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from widthwise.core.figures import shown_figure
from widthwise.metrics.goals.aim import SUM
from widthwise.metrics.spread import SIGMAS
from widthwise.report.shown.front import NEAR_COST, FrontRow, FrontView, errors_of
from widthwise.report.shown.overview import on_test_lines, with_error
from widthwise.study.sureness import FLOAT

if TYPE_CHECKING:
    from widthwise.report.shown.axes import Axis
    from widthwise.study.study import Study
    from widthwise.study.trials import Trial

NOISY = "≈"  # after the number of a trial that can't be told from another
GAP = 2
INDENT = 4
NUMBER = "number"


@dataclass(frozen=True)
class _Line:
    """A row as text: its number with marks, its figures by column, what it chooses."""

    number: str
    figures: Mapping[str, str]
    chooses: str = ""


def front_lines(study: Study, view: FrontView, width: int) -> list[str]:
    """The table of the rows that are shown, and of the float network, for a terminal of `width` columns.

    Figures that are no objectives are left out where they have no room; what a row chooses stands below it
    then. Where not even objectives have room, a figure stands on a line.
    """
    noisy = study.within_noise
    lines = [_line(study, row.trial, view.axes, row.choices, _marks(row, noisy)) for row in view.shown]
    return _laid_out([*lines, *_float(study, view.axes)], _columns(study, view.axes), width)


def trial_lines(study: Study, trial: Trial, axes: Sequence[Axis], width: int) -> list[str]:
    """One trial beside the float network."""
    lines = [_line(study, trial, axes, "", ""), *_float(study, axes)]
    return _laid_out(lines, _columns(study, axes), width)


def mark_lines(study: Study, view: FrontView) -> list[str]:
    """What the marks and errors of the table mean, as far as it has them."""
    lines = [f"All rows choose {view.same}"] if view.same and view.rows else []
    if any(row.alike for row in view.shown):
        lines.append("(+N): N more with equal objectives")
    if any(row.near for row in view.shown) and len(view.shown) < len(view.rows):
        lines.append(
            f"(near N): N more rows of no different quality that cost the same within {NEAR_COST:.0%}"
        )
    return lines + noise_lines(study, view)


def on_test_rows(study: Study, view: FrontView) -> list[str]:
    """What picked trials of the table are worth on test data, and float; none where none was judged."""
    numbers = [row.trial.number for row in view.shown if row.trial.number in study.tested.figures]
    return [line for number in numbers for line in on_test_lines(study, number, view.axes, named=True)]


def noise_lines(study: Study, view: FrontView) -> list[str]:
    """What ± means, and the mark of rows that can't be told from others; none where there is neither."""
    if study.repeats > 1:
        lines = [f"±: one standard error over {study.repeats} seeds"]
        names = [axis.name for axis in view.axes if axis.objective and not axis.is_cost]
        how = f"over {study.repeats} seeds"
    else:
        names = [name for name in study.aim.names if name in study.sureness.close]
        how = "of their difference on these samples"
        samples = study.sureness.samples
        lines = (
            [f"±: one standard error, on the {samples:,} samples that trials were judged on"]
            if samples
            else []
        )
        if like := [row.trial.number for row in view.shown if row.like_float]:
            lines.append(f"by {' and '.join(names)} no different from float: {', '.join(map(str, like))}")
    if study.within_noise:
        lines.append(
            f"{NOISY} by {' and '.join(names)} no different from another row: within {SIGMAS:g} standard "
            f"errors {how} (front.json says of which)"
        )
    return lines


def _marks(row: FrontRow, noisy: Mapping[int, Sequence[int]]) -> str:
    return "".join(
        [
            f" (+{len(row.alike):,})" if row.alike else "",
            f" (near {len(row.near):,})" if row.near else "",
            f" {NOISY}" if row.trial.number in noisy else "",
        ]
    )


def _columns(study: Study, axes: Sequence[Axis]) -> list[tuple[str, bool]]:
    """Names of columns, and whether each has to be shown."""
    of_sum = [(SUM, True)] if study.aim.summed else []
    return [*of_sum, *((axis.name, axis.objective) for axis in axes)]


def _line(study: Study, trial: Trial, axes: Sequence[Axis], choices: str, marks: str) -> _Line:
    errors = errors_of(study, trial)
    figures = {axis.name: with_error(axis, trial.metrics[axis.name], errors.get(axis.name)) for axis in axes}
    figures[SUM] = shown_figure(sum(trial.scaled_metrics.values()))
    return _Line(f"{trial.number}{marks}", figures, choices)


def _float(study: Study, axes: Sequence[Axis]) -> list[_Line]:
    """The network that was searched, where its figures are kept."""
    settings = study.record.settings
    known, errors = settings.float_metrics, study.sureness.errors.get(FLOAT, {})
    if not known:
        return []
    figures = {a.name: with_error(a, known[a.name], errors.get(a.name)) for a in axes if a.name in known}
    if set(study.aim.names) <= known.keys():
        figures[SUM] = shown_figure(sum(study.aim.scaled(known).values()))
    return [_Line("untrained" if settings.untrained else "float", figures)]


def _laid_out(lines: Sequence[_Line], columns: list[tuple[str, bool]], width: int) -> list[str]:
    number = max(len(NUMBER), *(len(line.number) for line in lines))
    sizes = {
        name: max(len(name), *(len(line.figures.get(name, "")) for line in lines)) for name, _ in columns
    }
    chooses = max(len(line.chooses) for line in lines)
    names = [name for name, _ in columns]

    def needed() -> int:
        return number + sum(sizes[name] + GAP for name in names)

    inline = bool(chooses) and needed() + GAP + max(chooses, len("chooses")) <= width
    rest = [name for name, needs in columns if not needs]
    while rest and needed() > width:
        names.remove(rest.pop())
    if needed() > width:
        return _blocks(lines, [name for name, needs in columns if needs], width)
    blank = " " * GAP

    def row(first: str, cells: Sequence[str], last: str) -> str:
        padded = [cell.rjust(sizes[name]) for name, cell in zip(names, cells, strict=True)]
        return blank.join([first.rjust(number), *padded, *([last] if last else [])]).rstrip()

    found = [row(NUMBER, names, "chooses" if inline else "")]
    found.append("─" * min(width, max(len(found[0]), needed() + (GAP + chooses if inline else 0))))
    for line in lines:
        found.append(
            row(line.number, [line.figures.get(name, "") for name in names], line.chooses if inline else "")
        )
        if line.chooses and not inline:
            found += _wrapped(line.chooses, width)
    left = [name for name, _ in columns if name not in names]
    return [*found, *_wrapped(f"({', '.join(left)}: in a wider terminal)", width)] if left else found


def _blocks(lines: Sequence[_Line], names: Sequence[str], width: int) -> list[str]:
    """A figure a line."""
    found = []
    for line in lines:
        found.append(f"{NUMBER}: {line.number}")
        found += [f"  {name} {line.figures[name]}" for name in names if name in line.figures]
        found += _wrapped(line.chooses, width) if line.chooses else []
    return found


def _wrapped(words: str, width: int) -> list[str]:
    return textwrap.wrap(
        words,
        max(width, 20),
        initial_indent=" " * INDENT,
        subsequent_indent=" " * INDENT,
        break_on_hyphens=False,
    )
