"""A front as a table for papers, READMEs and spreadsheets: Markdown and CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence

from widthwise.core.toml import shown_choice
from widthwise.report.explanation import mixing_lines
from widthwise.report.shown.axes import Axis
from widthwise.report.shown.overview import with_error
from widthwise.report.shown.view import StudyView
from widthwise.study.sureness import FLOAT
from widthwise.study.tested import tested_columns

SPECIAL = re.compile(r"([\\`*_{}\[\]<>#+!|~&])")


def markdown(view: StudyView) -> str:
    """The study in sentences, the rows of the front that are shown, whether mixing helped."""
    lines = [
        f"# {escaped(view.study.name)}",
        "",
        *(f"{escaped(line)}\n" for line in (*view.lines, *view.trouble)),
    ]
    if view.front.shown:
        lines += [*_table(view), ""]
    if view.front.same:
        lines.append(f"All rows choose {escaped(view.front.same)}.\n")
    if len(view.front.shown) < len(view.front.rows):
        lines.append(f"{len(view.front.shown)} of {len(view.front.rows):,} rows; front.json has all.\n")
    lines += [f"Did mixing help? {escaped(words)}\n" for words in _mixing(view)]
    return "\n".join(lines).rstrip() + "\n"


def _mixing(view: StudyView) -> list[str]:
    """As `widthwise explain` evaluated it, else by the trials alone."""
    if view.explanation is None or not view.explanation.mixing:
        return [found.words for found in view.mixing]
    metrics = {metric.name: metric for metric in view.study.record.metrics}
    return [line for found in view.explanation.mixing for line in mixing_lines(found, metrics)]


def escaped(words: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return SPECIAL.sub(r"\\\1", " ".join(words.split()))


def comma_separated(view: StudyView) -> str:
    """All rows of the front: figures in full, their standard errors, the decisions; float comes last."""
    decisions = [decision.name for decision in view.study.record.space.decisions]
    names = [axis.name for axis in view.axes]
    sure = sorted({name for row in view.front.rows for name in row.errors})
    taken = {"trial", *names, *(f"{name}_error" for name in sure)}
    numbers = [row.trial.number for row in view.front.rows]
    tested = tested_columns(view.study.tested, [*numbers, FLOAT])  # float is the last row
    heads = [f"config.{name}" if name in taken else name for name in decisions]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["trial", *names, *(f"{name}_error" for name in sure), *heads, *tested])
    for at, row in enumerate(view.front.rows):
        trial = row.trial
        figures = [trial.metrics[name] for name in names]
        errors = [row.errors.get(name, "") for name in sure]
        chosen = [shown_choice(trial.config[name]) for name in decisions]
        writer.writerow([trial.number, *figures, *errors, *chosen, *_tested(tested, at)])
    known = view.study.record.settings.float_metrics
    if known:
        errors = [view.study.sureness.errors.get(FLOAT, {}).get(name, "") for name in sure]
        whole = [known.get(name, "") for name in names]
        writer.writerow(["float", *whole, *errors, *[""] * len(decisions), *_tested(tested, -1)])
    return out.getvalue()


def _tested(columns: Mapping[str, Sequence[float]], row: int) -> list[float | str]:
    """Figures on test data; nothing where they are not known."""
    return ["" if math.isnan(column[row]) else column[row] for column in columns.values()]


def _table(view: StudyView) -> list[str]:
    axes: Sequence[Axis] = view.axes
    heads = ["trial", *(axis.label for axis in axes), *(["chooses"] if view.front.differs else [])]
    rows = [
        [
            str(row.trial.number),
            *(with_error(axis, row.trial.metrics[axis.name], row.errors.get(axis.name)) for axis in axes),
            *([row.choices] if view.front.differs else []),
        ]
        for row in view.front.shown
    ]
    known, errors = view.study.record.settings.float_metrics, view.study.sureness.errors.get(FLOAT, {})
    if known:
        figures = [with_error(a, known[a.name], errors.get(a.name)) if a.name in known else "" for a in axes]
        name = "untrained" if view.study.record.settings.untrained else "float"
        rows.append([name, *figures, *([""] if view.front.differs else [])])
    ruler = ["---:"] * (len(axes) + 1) + (["---"] if view.front.differs else [])
    return [
        f"| {' | '.join(map(escaped, row))} |" if row is not ruler else f"|{'|'.join(row)}|"
        for row in (heads, ruler, *rows)
    ]
