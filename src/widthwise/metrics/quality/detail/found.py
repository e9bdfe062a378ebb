"""What is told of a network's quality in detail, cut to what can be read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A class, an output or a sample with its figures.

    pick: those of the picked network. beside: those of the float network, () where unknown; so in all here.
    """

    name: str
    pick: tuple[float, ...]
    beside: tuple[float, ...] = ()


@dataclass(frozen=True)
class Table:
    """of: what each row is. figures: their names."""

    title: str
    of: str
    figures: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Confusion:
    """How many of each true class, a row, are taken for which, a column."""

    classes: tuple[str, ...]
    pick: tuple[tuple[int, ...], ...]
    beside: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Histogram:
    """How many values lie between each edge and the next; the last edge belongs to the last."""

    title: str
    edges: tuple[float, ...]
    pick: tuple[int, ...]
    beside: tuple[int, ...] = ()


@dataclass(frozen=True)
class QualityDetail:
    """Tables and pictures in numbers; notes: what was left out of them."""

    tables: tuple[Table, ...] = ()
    confusion: Confusion | None = None
    histogram: Histogram | None = None
    notes: tuple[str, ...] = ()
