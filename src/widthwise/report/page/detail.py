"""Quality in detail on a study's page: classes, outputs, errors and the worst samples, beside float."""

from __future__ import annotations

import math

from widthwise.core.figures import shown_figure
from widthwise.metrics.quality.detail.found import Confusion, Histogram, Table
from widthwise.report.document import paragraphs, scrolling, sheet_table, text
from widthwise.report.page.section import section
from widthwise.report.sheets import Sheet
from widthwise.report.shown.view import StudyView

PART = {"val": "validation", "test": "test"}
MOST_LETTERS = 14  # of a class that heads a column
SIZE = (640, 220)  # of a histogram
COUNTED = ("samples", "places")  # what figures of these names are
EDGE = 24  # below it, for its ends


def detail_section(view: StudyView) -> str:
    kept = view.detail
    if kept is None:
        return section(
            "detail",
            [
                '<p class="soft">Quality by class, by output and of single samples is not known in this run: '
                "<code>widthwise explain RUN</code> computes it, for tasks of widthwise's own.</p>"
            ],
        )
    name = "untrained" if view.study.record.settings.untrained else "float"
    found = kept.detail
    part = PART.get(kept.part, kept.part)
    lead = (
        f"Trial {kept.trial} on {kept.samples:,} {part} samples, task {kept.task}. Samples are numbered from "
        "0 in the order in which the data gives them."
    )
    return section(
        "detail",
        [
            f'<p class="soft">{text(lead)}</p>',
            *(sheet_table(_sheet(table, name)) for table in found.tables[:-1]),
            *([] if found.confusion is None else [confusion_table(found.confusion, name)]),
            *([] if found.histogram is None else [histogram_svg(found.histogram, name)]),
            *(sheet_table(_sheet(table, name)) for table in found.tables[-1:]),
            paragraphs(found.notes, "soft"),
        ],
    )


def _sheet(table: Table, name: str) -> Sheet:
    """Each figure of the picked trial, and beside it float's."""
    beside = any(row.beside for row in table.rows)
    counted = 1 if table.figures[1:] and table.of in ("class", "label") else 0  # the same for both networks
    heads = [table.of, *table.figures[:counted]]
    for figure in table.figures[counted:]:
        heads += [figure, name] if beside else [figure]
    rows = []
    for row in table.rows:
        cells = [row.name, *map(figure_text, row.pick[:counted], table.figures)]
        for at, figure in enumerate(table.figures[counted:], counted):
            cells.append(figure_text(row.pick[at], figure))
            if beside:
                cells.append(figure_text(row.beside[at], figure) if row.beside else "")
        rows.append(tuple(cells))
    return Sheet(table.title, tuple(heads), tuple(rows))


def figure_text(value: float, name: str) -> str:
    """Counts whole, others as figures."""
    if math.isnan(value):
        return "not known"
    return f"{value:,.0f}" if name in COUNTED else shown_figure(value)


def confusion_table(found: Confusion, name: str) -> str:
    """True classes in rows, cells filled by their share of it; float's count is below if it differs."""
    short = [one if len(one) <= MOST_LETTERS else one[: MOST_LETTERS - 1] + "…" for one in found.classes]
    head = "".join(
        f'<th scope="col" class="number" title="{text(one)}">{text(few)}</th>'
        for one, few in zip(found.classes, short, strict=True)
    )
    rows = []
    for label, (of, counts) in enumerate(zip(found.classes, found.pick, strict=True)):
        total = max(sum(counts), 1)
        cells = []
        for taken, count in enumerate(counts):
            other = found.beside[label][taken] if found.beside else count
            more = "" if other == count else f'<br><span class="soft">{other:,}</span>'
            cells.append(f'<td class="number share" style="--share:{count / total:.3f}">{count:,}{more}</td>')
        rows.append(f'<tr><th scope="row">{text(of)}</th>{"".join(cells)}</tr>')
    below = f"; {name}'s count is below where it differs" if found.beside else ""
    caption = f"Which class, a row, is taken for which, a column{below}"
    return scrolling(
        f"<table>\n<caption>{text(caption)}</caption>\n<thead><tr><th>true</th>{head}</tr></thead>\n"
        f"<tbody>{''.join(rows)}</tbody>\n</table>",
        "Confusion matrix",
    )


def histogram_svg(found: Histogram, name: str) -> str:
    """Bars of the picked trial, float's outline over them."""
    (width, height), bins = SIZE, len(found.pick)
    top = max(1, *found.pick, *found.beside)

    def y(count: int) -> float:
        return round(height * (1 - count / top), 1)

    def x(at: int) -> float:
        return round(width * at / bins, 1)

    bars = "".join(
        f'<rect class="bar" x="{x(at)}" y="{y(count)}" width="{round(width / bins - 1, 1)}" '
        f'height="{round(height - y(count), 1)}"/>'
        for at, count in enumerate(found.pick)
    )
    line = " ".join(f"{x(at)},{y(count)} {x(at + 1)},{y(count)}" for at, count in enumerate(found.beside))
    outline = f'<polyline class="beside" points="{line}"/>' if found.beside else ""
    ends = (
        f'<text x="0" y="{height + 16}">{found.edges[0]:.3g}</text>'
        f'<text x="{width}" y="{height + 16}" text-anchor="end">{found.edges[-1]:.3g}</text>'
    )
    words = found.title + (f"; the line is {name}'s" if found.beside else "")
    drawn = (
        f'<svg class="histogram" role="img" aria-label="{text(words)}" width="{width}" '
        f'height="{height + EDGE}" viewBox="0 0 {width} {height + EDGE}">{bars}{outline}{ends}</svg>'
    )
    return (
        f'<p class="soft">{text(words)}, from the least to the greatest error; the highest has {top:,}.</p>'
        + scrolling(drawn, found.title)
    )
