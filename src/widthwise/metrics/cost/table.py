"""Costs from a table: a CSV file with a value for each layer and its formats or sizes, summed over layers."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Literal, get_args

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError, unknown
from widthwise.core.files import existing_file
from widthwise.formats import parse
from widthwise.formats.base import UNSET, Format
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.cost.counts import FLOAT_BITS
from widthwise.metrics.table_file import TableFile

Column = Literal["data_in", "weight", "bias", "size", "input_size"]
COLUMNS: tuple[Column, ...] = get_args(Column)
SIZES = ("size", "input_size")
FLOATS = ("float", *UNSET)

Cell = Format | None | int
"""A format (None: float), or in a column of formats the bits of an element; in one of sizes a size."""

LISTED = 4  # combinations that an error lists
CHECKED = 100_000  # combinations of a layer that are looked up before a search begins


def combinations(counts: Sequence[int]) -> IntArray:
    """All combinations of so many choices, [rows, decisions]; the first CHECKED where there are more."""
    if not counts:
        return np.zeros((1, 0), dtype=np.int64)
    rows = np.arange(min(math.prod(counts), CHECKED))
    found: IntArray = np.stack(np.unravel_index(rows, counts), axis=1)
    return found


class UnknownCostError(UserError):
    """The table has no value for some formats or sizes of a layer."""


@dataclass(frozen=True, eq=False)
class Choice:
    """What a layer has in one column: labels, and which of them K candidates have, [K]."""

    labels: Sequence[Format | int | None]
    codes: IntArray

    @classmethod
    def fixed(cls, label: Format | int | None) -> Choice:
        """The same for all candidates."""
        return cls((label,), np.zeros(1, dtype=np.int64))


Choices = Mapping[str, Mapping[Column, Choice]]
"""What the layers have, by name, in the columns that a table may have."""


@dataclass(frozen=True, eq=False)
class CostTable:
    """A table that was read: rows of each layer, by what stands in `columns`."""

    name: str
    columns: tuple[Column, ...]
    rows: Mapping[str, Mapping[tuple[Cell, ...], float]]
    _found: dict[tuple[str, tuple[Cell, ...]], float] = field(default_factory=dict)

    def __call__(self, layers: Choices, candidates: int) -> FloatArray:
        """The sum over the layers of the table, [K]. Raises UnknownCostError for what it has no row for."""
        total = np.zeros(candidates)
        for layer in self.rows:
            total += self._of_layer(layer, layers[layer])
        return total

    def check(self, layers: Choices, needed: Iterable[str]) -> None:
        """Raises UserError for layers that either side lacks, and for combinations that have no row.

        layers: each with all that it may have together. needed: those that the table has to have.
        """
        for layer in self.rows:
            if layer not in layers:
                raise unknown("layer of the network", layer, layers, where=self.name)
        for layer in needed:
            if layer not in self.rows:
                raise UnknownCostError(
                    f"{self.name}: has no row for layer {layer}; it has rows for {', '.join(self.rows)}"
                )
        for layer in self.rows:
            self._of_layer(layer, layers[layer])

    def value(self, layer: str, cells: tuple[Cell, ...]) -> float:
        """Of a layer with these formats and sizes: the row that has them, or the bits of its formats."""
        if (layer, cells) not in self._found:
            self._found[layer, cells] = self._looked_up(layer, cells)
        return self._found[layer, cells]

    def _of_layer(self, layer: str, choices: Mapping[Column, Choice]) -> FloatArray:
        chosen = [choices[column] for column in self.columns]
        shape = tuple(len(choice.labels) for choice in chosen)
        codes = np.broadcast_arrays(*(choice.codes for choice in chosen))
        used, place = np.unique(np.ravel_multi_index(codes, shape), return_inverse=True)
        values = [
            self.value(layer, tuple(c.labels[i] for c, i in zip(chosen, cells, strict=True)))
            for cells in zip(*np.unravel_index(used, shape), strict=True)
        ]
        found: FloatArray = np.array(values)[place]
        return found

    def _looked_up(self, layer: str, cells: tuple[Cell, ...]) -> float:
        rows = self.rows[layer]
        for written in product(*map(self._written, self.columns, cells)):
            if written in rows:
                return rows[written]
        listed = " or ".join(self._spelled(row) for row in islice(rows, LISTED))
        more = f" or {len(rows) - LISTED:,} others" if len(rows) > LISTED else ""
        raise UnknownCostError(
            f"{self.name}: has no row for layer {layer} with {self._spelled(cells)}; of this layer it has "
            f"{listed}{more}"
        )

    @staticmethod
    def _written(column: Column, cell: Cell) -> tuple[Cell, ...]:
        """How a table may write it: a format as such goes before its bits."""
        if column in SIZES:
            return (cell,)
        bits = FLOAT_BITS if cell is None else cell.bits if isinstance(cell, Format) else cell
        return (cell, int(bits)) if float(bits).is_integer() else (cell,)

    def _spelled(self, cells: Sequence[Cell]) -> str:
        return ", ".join(
            f"{column} {'float' if cell is None else cell}"
            for column, cell in zip(self.columns, cells, strict=True)
        )


class Tables:
    """The tables of metrics, each read once."""

    def __init__(self) -> None:
        self._read: dict[TableFile, CostTable] = {}

    def of(self, metrics: Sequence[Metric]) -> dict[str, CostTable]:
        """By metric name, of those that have one."""
        files = {metric.name: metric.source for metric in metrics if isinstance(metric.source, TableFile)}
        for file in files.values():
            if file not in self._read:
                self._read[file] = read_cost_table(file)
        return {name: self._read[file] for name, file in files.items()}


def read_cost_table(file: TableFile) -> CostTable:
    """The table of a CSV file; raises UserError that names the line for whatever can't be read."""
    path = existing_file(file.path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            lines = list(csv.reader(opened, strict=True))
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path}: can't be read as CSV: {error}") from error
    header = [name.strip() for name in lines[0]] if lines else []
    columns, values = _columns(header, file.column, str(path))
    rows: dict[str, dict[tuple[Cell, ...], float]] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in line):
            continue
        where = f"{path}: line {number}"
        if len(line) != len(header):
            raise UserError(f"{where}: has {len(line)} cells, the header has {len(header)}")
        found = dict(zip(header, (cell.strip() for cell in line), strict=True))
        cells = tuple(_cell(column, found[column], where) for column in columns)
        layer = found["layer"].replace(".", "_")
        if not layer:
            raise UserError(f"{where}: layer: is empty; name one, as `widthwise inspect` lists them")
        value = _value(found[values], f"{where}: {values}")
        if rows.setdefault(layer, {}).setdefault(cells, value) != value:
            raise UserError(f"{where}: stands there twice with different values; leave one of them out")
    if not rows:
        raise UserError(f"{path}: has no rows; give a value for each layer and what it may have")
    return CostTable(str(path), columns, rows)


def _columns(header: Sequence[str], column: str | None, path: str) -> tuple[tuple[Column, ...], str]:
    """Those that tell rows apart, and the one of the values."""
    if "layer" not in header:
        raise UserError(f"{path}: has no column layer (found: {', '.join(header) or 'none'})")
    if len(set(header)) != len(header):
        raise UserError(f"{path}: has two columns of the same name: {', '.join(header)}")
    columns = tuple(name for name in COLUMNS if name in header)
    if not columns:
        raise UserError(f"{path}: has none of the columns {', '.join(COLUMNS)}, by which rows are found")
    others = [name for name in header if name not in (*columns, "layer")]
    if column is not None and column not in others:
        raise unknown("column of values", column, others, where=path)
    if column is None and len(others) != 1:
        found = ", ".join(others) or "none"
        raise UserError(
            f"{path}: has {len(others)} columns of values ({found}); give one beside layer and "
            f'{", ".join(COLUMNS)}, or say which, as column = "dsps"'
        )
    return columns, others[0] if column is None else column


def _cell(column: Column, text: str, where: str) -> Cell:
    whole = int(text) if text.isascii() and text.isdigit() else None
    if column in SIZES:
        if whole is None:
            raise UserError(f"{where}: {column}: {text!r} is no whole number")
        return whole
    if text in FLOATS:
        return None
    if whole is not None:
        return whole
    try:
        return parse(text)
    except UserError as error:
        raise error.at(f"{where}: {column}") from None


def _value(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{where}: {text!r} is no finite number")
    return value
