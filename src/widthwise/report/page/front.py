"""The front on a study's page: the chart with its choosers, and the table to choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from widthwise.report.document import chart_element, paragraphs, scrolling, text
from widthwise.report.page.section import section
from widthwise.report.shown.axes import Axis
from widthwise.report.shown.front import MOST_ROWS, FrontRow
from widthwise.report.shown.overview import on_test_words, with_error
from widthwise.report.shown.view import StudyView
from widthwise.study.sureness import FLOAT


def front_section(view: StudyView) -> str:
    if view.pair is None or not len(view.points.numbers):
        return section("front", ["<p>No trial has figures that could be drawn.</p>"])
    points = view.points
    drawn = (
        "Every trial that succeeded is drawn."
        if points.complete
        else f"{len(points.numbers):,} of {points.total:,} trials are drawn: the front and the outline of "
        "each pair of figures exactly, of the others some spread over the search."
    )
    how = (
        "Circles on the line: the front of the two chosen figures, with a standard error where it is known; "
        "open diamonds: uniform schemes, every layer alike; star: float; shaded: out of bounds. "
        "Click on a trial, or select it in the table, to see what it chooses."
    )
    return section(
        "front",
        [
            f'<div class="tools">{_chooser("y", "Up", view.axes)}{_chooser("x", "Across", view.axes)}</div>',
            chart_element(
                "front-chart", "Trials and their front by the two chosen figures; the table has its values"
            ),
            f'<p class="soft">{text(drawn)} {text(how)}</p>',
            '<div class="panel" id="selected" aria-live="polite"></div>',
            '<div class="scroll" id="pinned" role="region" tabindex="0" aria-label="Pinned" hidden></div>',
            _front_table(view),
        ],
    )


def _chooser(way: str, label: str, axes: Sequence[Axis]) -> str:
    options = "".join(
        f'<option value="{column}">{text(axis.label)}</option>' for column, axis in enumerate(axes)
    )
    return f'<label>{label}: <select id="choose-{way}">{options}</select></label>'


def _front_table(view: StudyView) -> str:
    """The rows to choose from, sorted by cost, with what each chooses; all the others folded away."""
    front = view.front
    if not front.rows:
        return ""
    notes = [f"All rows choose {front.same}."] if front.same else []
    if front.grouped:
        notes.append(
            f"(near N): N more of no different quality at the same cost within 1 %; {front.grouped:,} in all."
        )
    if any(row.alike for row in front.rows):
        notes.append("(+N): N more trials with equal objectives.")
    if any(row.like_float for row in front.rows):
        notes.append("≈ float: by the objectives no different from the float network.")
    shown = _rows_table(view, front.shown, f"The front, {_sorted_by(view)}")
    if len(front.shown) == len(front.rows):
        return shown + paragraphs(notes, "soft")
    every = _rows_table(view, front.rows, "All rows of the front")
    return (
        f"{shown}{paragraphs(notes, 'soft')}\n<details><summary>All {len(front.rows):,} rows of the front "
        f"({len(front.shown)} are shown above)</summary>{every}</details>"
        if len(front.rows) <= 10 * MOST_ROWS
        else shown + paragraphs([*notes, f"{len(front.rows):,} rows in all: front.json has them."], "soft")
    )


def _sorted_by(view: StudyView) -> str:
    return f"sorted by {view.pair[1].name}" if view.pair is not None else "by number"


def _rows_table(view: StudyView, rows: Sequence[FrontRow], caption: str) -> str:
    axes = [axis for axis in view.axes if axis.objective]
    axes += [axis for axis in view.axes if not axis.objective][: max(0, 4 - len(axes))]
    figures = "".join(f'<th scope="col" class="number">{text(axis.label)}</th>' for axis in axes)
    chooses = '<th scope="col">chooses</th>' if view.front.differs else ""
    judged = [axis for axis in axes if any(on_test_words(view.study, row.trial.number, axis) for row in rows)]
    tested = "".join(f'<th scope="col" class="number">{text(axis.name)} on test data</th>' for axis in judged)
    head = f'<th scope="col">trial</th><th scope="col" class="acts">show</th>{figures}{tested}{chooses}'
    measured = '<th scope="col">measured</th>' if view.measured else ""
    lines = [_row(view, row, axes, judged) for row in rows]
    settings = view.study.record.settings
    if settings.float_metrics:
        errors = view.study.sureness.errors.get(FLOAT, {})
        cells = _cells(axes, settings.float_metrics, errors)
        name = "untrained" if settings.untrained else "float"
        cells += _tested(view, FLOAT, judged)
        rest = ("<td></td>" if view.front.differs else "") + ("<td></td>" if view.measured else "")
        lines.append(f'<tr class="reference"><td>{name}</td><td class="acts"></td>{cells}{rest}</tr>')
    body = "".join(lines)
    return scrolling(
        f"<table><caption>{text(caption)}</caption><thead><tr>{head}{measured}</tr></thead>\n"
        f"<tbody>{body}</tbody></table>",
        caption,
    )


def _cells(axes: Sequence[Axis], values: Mapping[str, float], errors: Mapping[str, float]) -> str:
    """A cell an axis, empty where there is no value."""
    found = [
        with_error(axis, values[axis.name], errors.get(axis.name)) if axis.name in values else ""
        for axis in axes
    ]
    return "".join(f'<td class="number">{text(words)}</td>' for words in found)


def _tested(view: StudyView, number: int, axes: Sequence[Axis]) -> str:
    return "".join(
        f'<td class="number">{text(on_test_words(view.study, number, axis))}</td>' for axis in axes
    )


def _row(view: StudyView, row: FrontRow, axes: Sequence[Axis], judged: Sequence[Axis]) -> str:
    number = row.trial.number
    marks = "".join(
        [
            f" (+{len(row.alike):,})" if row.alike else "",
            f" (near {len(row.near):,})" if row.near else "",
            " ≈ float" if row.like_float else "",
            " ◀ picked" if view.pick is not None and number == view.pick.number else "",
        ]
    )
    cells = _cells(axes, row.trial.metrics, row.errors) + _tested(view, number, judged)
    chooses = f'<td class="words">{text(row.choices)}</td>' if view.front.differs else ""
    measured = f'<td class="words">{text(view.measured.get(number, ""))}</td>' if view.measured else ""
    acts = (
        f'<td class="acts"><button type="button" data-select="{number}" aria-pressed="false" '
        f'aria-label="select trial {number}">select</button> <button type="button" data-pin="{number}" '
        f'aria-pressed="false" aria-label="pin trial {number}">pin</button></td>'
    )
    return f'<tr data-trial="{number}"><td>{number}{text(marks)}</td>{acts}{cells}{chooses}{measured}</tr>'
