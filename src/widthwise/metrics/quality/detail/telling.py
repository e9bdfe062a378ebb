"""From what was added up to tables: per class, per output, the worst samples; the pick beside float."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.metrics.quality.detail.collecting import Classes, Collector, Labels, Numbers
from widthwise.metrics.quality.detail.found import Confusion, Histogram, QualityDetail, Row, Table

MOST_ROWS = 30  # classes or outputs in a table
MOST_CONFUSED = 16  # classes of a matrix of all
MOST_SAMPLES = 10
BINS = 31

Part = TypeVar("Part", Classes | Labels, Classes, Numbers)

CLASS_FIGURES = ("present", "precision", "recall", "f1", "iou")


def detail_of(
    pick: Collector, other: Collector | None, names: Sequence[str] = (), *, unit: str = "samples"
) -> QualityDetail:
    """All that can be told of a picked network, and of the float one where that was added up.

    names: of classes or outputs; those without are numbered. unit: what classes are counted in.
    """
    tables: list[Table] = []
    notes: list[str] = []
    confusion, histogram = None, None
    if isinstance(pick.part, Classes | Labels):
        tables.append(_classes(pick, other, names, notes, unit))
    if isinstance(pick.part, Classes):
        beside = _same(pick.part, other)
        if len(pick.part.hits) <= MOST_CONFUSED:
            confusion = _confusion(pick.part, beside, names)
        elif pick.part.wrong:
            tables.append(_taken_for(pick.part, beside, names, notes, unit))
    if isinstance(pick.part, Numbers):
        tables.append(_outputs(pick.part, _same(pick.part, other), names, notes))
        histogram = _histogram(pick.part, _same(pick.part, other), notes)
    tables.append(_worst(pick, other))
    return QualityDetail(tuple(tables), confusion, histogram, tuple(notes))


def _same(of: Part, other: Collector | None) -> Part | None:
    """What was added up of the float network, which is of the same kind."""
    return other.part if other is not None and isinstance(other.part, type(of)) else None


def name_of(names: Sequence[str], number: int) -> str:
    """Of a class or an output, in quotes where it would not be seen."""
    if number >= len(names):
        return str(number)
    return names[number] if names[number].strip() == names[number] != "" else repr(names[number])


def _figures(part: Classes | Labels) -> FloatArray:
    """CLASS_FIGURES of each class, [classes, 5]; a ratio 0/0 is 0."""

    def ratio(top: IntArray, below: IntArray) -> FloatArray:
        return np.divide(top, below, out=np.zeros(len(top)), where=below > 0)

    hits, taken, present = part.hits, part.taken, part.present
    return np.stack(
        [
            present.astype(np.float64),
            ratio(hits, taken),
            ratio(hits, present),
            ratio(2 * hits, taken + present),
            ratio(hits, taken + present - hits),
        ],
        axis=1,
    )


def _classes(
    pick: Collector, other: Collector | None, names: Sequence[str], notes: list[str], unit: str
) -> Table:
    part = pick.part
    assert isinstance(part, Classes | Labels)
    what = "class" if isinstance(part, Classes) else "label"
    asked = len(CLASS_FIGURES) if pick.overlaps else len(CLASS_FIGURES) - 1
    float_part = _same(part, other)
    figures = _figures(part)[:, :asked]
    beside = None if float_part is None else _figures(float_part)[:, :asked]
    there = np.flatnonzero((part.present > 0) | (part.taken > 0))
    shown = there
    if len(there) > MOST_ROWS:
        shown = there[np.argsort(figures[there, 3], kind="stable")][:MOST_ROWS]
        notes.append(
            f"{MOST_ROWS} of the {len(there):,} {_plural(what)} that there are stand in the table: those "
            "with the least f1."
        )
    if len(there) < len(part.hits):
        notes.append(
            f"{_plural(what).capitalize()} that neither occur nor are given: {len(part.hits) - len(there):,}."
        )
    rows = tuple(
        Row(
            name_of(names, number),
            tuple(figures[number].tolist()),
            () if beside is None else tuple(beside[number].tolist()),
        )
        for number in shown.tolist()
    )
    return Table(f"Each {what}", what, (unit, *CLASS_FIGURES[1:asked]), rows)


def _plural(what: str) -> str:
    return "classes" if what == "class" else f"{what}s"


def _confusion(part: Classes, other: Classes | None, names: Sequence[str]) -> Confusion:
    def rows(found: Classes) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(map(int, row)) for row in found.matrix())

    named = tuple(name_of(names, number) for number in range(len(part.hits)))
    return Confusion(named, rows(part), () if other is None else rows(other))


def _taken_for(
    part: Classes, other: Classes | None, names: Sequence[str], notes: list[str], unit: str
) -> Table:
    """Which of very many classes are mistaken, most often first."""
    pairs = sorted(part.wrong, key=lambda pair: (-part.wrong[pair], pair))
    if len(pairs) > MOST_SAMPLES:
        notes.append(f"Of {len(pairs):,} kinds of mistakes the {MOST_SAMPLES} most frequent are shown.")
    rows = tuple(
        Row(
            f"{name_of(names, label)} taken for {name_of(names, taken)}",
            (float(part.wrong[label, taken]),),
            () if other is None else (float(other.wrong[label, taken]),),
        )
        for label, taken in pairs[:MOST_SAMPLES]
    )
    return Table("Most frequent mistakes", "mistake", (unit,), rows)


def _outputs(part: Numbers, other: Numbers | None, names: Sequence[str], notes: list[str]) -> Table:
    found, beside = part.values(), None if other is None else other.values()
    figures = tuple(found)
    count = len(found["mse"])
    shown = np.arange(count)
    if count > MOST_ROWS:
        shown = np.argsort(-found["mse"], kind="stable")[:MOST_ROWS]
        notes.append(f"{MOST_ROWS} of {count:,} outputs stand in the table: those with the greatest mse.")
    rows = tuple(
        Row(
            name_of(names, number),
            tuple(float(found[name][number]) for name in figures),
            () if beside is None else tuple(float(beside[name][number]) for name in figures),
        )
        for number in shown.tolist()
    )
    return Table("Each output", "output", figures, rows)


def _histogram(part: Numbers, other: Numbers | None, notes: list[str]) -> Histogram | None:
    """Of output less target, both networks between the same edges."""
    mine = np.concatenate([np.empty(0), *part.residuals])
    theirs = None if other is None else np.concatenate([np.empty(0), *other.residuals])
    if not len(mine):
        return None
    if part.cut:
        notes.append(f"The histogram is of the first {len(mine):,} errors.")
    every = mine if theirs is None else np.concatenate([mine, theirs])
    edges = np.histogram_bin_edges(every, bins=BINS)
    return Histogram(
        "Errors: output less target",
        tuple(edges.tolist()),
        tuple(np.histogram(mine, edges)[0].tolist()),
        () if theirs is None else tuple(np.histogram(theirs, edges)[0].tolist()),
    )


def _worst(pick: Collector, other: Collector | None) -> Table:
    """Samples by number, from 0 in the order of the data."""
    values = pick.of_samples
    beside = None if other is None else other.of_samples
    known = np.flatnonzero(~np.isnan(values))
    sign = -1 if pick.worst_is == "greatest" else 1
    worst = known[np.argsort(sign * values[known], kind="stable")][:MOST_SAMPLES]
    rows = tuple(
        Row(str(number), (float(values[number]),), () if beside is None else (float(beside[number]),))
        for number in worst.tolist()
    )
    return Table(f"Worst samples, by {pick.figure}", "sample", (pick.figure,), rows)
