"""Files of tables: CSV and parquet as data frames, whatever their separators, headers and decimal points."""

from __future__ import annotations

import csv
import re
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.core.files import check_growth

if TYPE_CHECKING:
    from pandas import DataFrame, Series


SEPARATORS = ",;\t"
FIRST_LINES = 10
LOOKED_AT = 200  # lines by which it is told whether the first is one of names
MISSING = {"", "na", "n/a", "nan", "null", "none"}
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?inf(inity)?|true|false", re.IGNORECASE)
MORE_CELLS = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")  # as pandas says it
DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")


def read_table(path: Path, *, header: bool | None = None) -> DataFrame:
    """The table of a .csv (separated by comma, semicolon or tab) or .parquet file, its columns named.

    header: whether the first line of a .csv names the columns, which else are x0, x1 …; None: as it looks.
    Raises UserError where the file can't be read as a table.
    """
    suffix = path.suffix.lower()
    if header is not None and suffix != ".csv":
        raise UserError(f"{path}: header is for .csv files; leave it out")
    try:
        table = _read_csv(path, header) if suffix == ".csv" else _read_parquet(path)
    except ImportError as error:
        raise UserError(f"{path}: reading {suffix} files needs pandas and pyarrow; install them") from error
    except (ValueError, OSError, csv.Error) as error:
        raise UserError(f"{path}: {_unread(error, suffix)}") from error
    table.columns = [str(column).strip() for column in table.columns]
    return table


def _unread(error: Exception, suffix: str) -> str:
    """Why a file is no table, and what to do, where pandas says it in words of its parser."""
    reason = " ".join(str(error).split())
    if isinstance(error, UnicodeDecodeError):
        return "is no UTF-8 text; save it as UTF-8"
    if reason.startswith("No columns to parse"):
        return "is empty; give a file with a line for each sample"
    if found := MORE_CELLS.search(reason):
        usual, line, cells = found.groups()
        return f"line {line} has {cells} cells, those before {usual}; mend it, and quote text with separators"
    return f"no {suffix} file that can be read: {reason}"


def _read_parquet(path: Path) -> DataFrame:
    """The table of a file whose cells, 8 bytes each, are not far more than it is."""
    import pandas as pd
    from pyarrow import parquet

    about = parquet.read_metadata(path)
    check_growth(path, 8 * about.num_rows * about.num_columns)
    return pd.read_parquet(path)


def _read_csv(path: Path, header: bool | None) -> DataFrame:
    import pandas as pd

    table: DataFrame
    how: dict[str, Any] = {"sep": _separator(path), "skipinitialspace": True, "index_col": False}
    head = pd.read_csv(path, header=None, nrows=LOOKED_AT, dtype=str, keep_default_na=False, **how)
    if how["sep"] != "," and _has_decimal_commas(head):
        how["decimal"] = ","
        head = head.apply(lambda cells: cells.str.replace(",", "."))
    if header is None:
        header = _names_columns(head)
    table = pd.read_csv(path, header=0 if header else None, low_memory=False, **how)
    if not header:
        table.columns = [f"x{number}" for number in range(table.shape[1])]
        table.attrs["unnamed"] = True
    last = table.columns[-1]
    if table.shape[1] > 1 and table[last].isna().all() and (not header or str(last).startswith("Unnamed: ")):
        table = table.drop(columns=last)  # every line ends with a separator
    return table


def _separator(path: Path) -> str:
    """What cuts the first lines into the most cells, as many in each; the comma where nothing does."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = list(islice((line for line in file if line.strip()), FIRST_LINES))

    def cells(separator: str) -> tuple[bool, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=separator)]
        return len(set(counts)) == 1, max(counts, default=0)

    found = {separator: cells(separator) for separator in SEPARATORS}
    cutting = [separator for separator in SEPARATORS if found[separator][1] > 1]
    return max(cutting, key=found.__getitem__, default=SEPARATORS[0])


def _has_decimal_commas(head: DataFrame) -> bool:
    """Whether cells hold numbers such as 1,5 and none such as 1.5."""
    cells = [str(cell).strip() for cell in head.to_numpy().flat]
    return any(DECIMAL_COMMA.fullmatch(cell) for cell in cells) and not any(
        "." in cell and NUMBER.fullmatch(cell) for cell in cells
    )


def _names_columns(head: DataFrame) -> bool:
    """Whether the first line of a table of text is one of names.

    It is where it holds text above numbers, only text, or 0, 1, 2 … as pandas writes columns without names.
    """
    first = [str(cell).strip() for cell in head.iloc[0]]
    if len(first) > 2 and first == [str(number) for number in range(len(first))]:
        return True
    numbers = [_are_numbers(head[column].iloc[1:]) for column in head.columns]
    texts = [cell.lower() not in MISSING and not NUMBER.fullmatch(cell) for cell in first]
    if any(text and below for text, below in zip(texts, numbers, strict=True)):
        return True
    return not any(NUMBER.fullmatch(cell) for cell in first)


def _are_numbers(cells: Series[Any]) -> bool:
    found = [text for cell in cells if (text := str(cell).strip()).lower() not in MISSING]
    return bool(found) and all(NUMBER.fullmatch(text) for text in found)
