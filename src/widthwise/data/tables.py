"""Samples of tables: which columns are labels, which only number the rows, and which are features."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from widthwise.core.errors import UserError, nearest
from widthwise.core.toml import shortened
from widthwise.data.arrays import NOTHING_SAID, Asked
from widthwise.data.padding import ragged_of
from widthwise.data.samples import Samples, check_samples

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pandas import DataFrame, Series

    from widthwise.data.padding import Array, Ragged

LABEL_COLUMNS = ("label", "target", "class", "y")
INDEX_COLUMNS = ("index", "id")
NAMELESS = "Unnamed: 0"  # as pandas calls a first column without a name
FEWEST_ROWS = 10  # by which a column is taken to number them
SAY_WHICH = "say which: --label NAME, data.label in a config, label= in Python"


def samples_of_table(table: DataFrame, *, name: str, note: str, asked: Asked = NOTHING_SAID) -> Samples:
    """Samples of a data frame with one or several columns of targets and numbers in all others.

    asked: the columns of targets by name or number, else they are found; and what they are.
    """
    if table.shape[1] < 2:
        raise UserError(
            f"{name}: has {table.shape[1]} columns; give features and a label, separated by commas"
        )
    if table.empty:
        raise UserError(f"{name}: has no rows; give some for each part of the data")
    labels = _label_columns(table, asked.label, name)
    unnamed = " (its first line names no columns)" if table.attrs.get("unnamed") else ""
    features = table.drop(columns=labels)
    if not features.shape[1]:
        raise UserError(f"{name}: all its columns are labels; leave some for the features")
    if (counting := _row_numbers(features)) is not None:
        features, note = features.drop(columns=counting), f"{note}, without {_called(counting)}: row numbers"
    _check_numbers(features, name, said=asked.label is not None)
    return check_samples(
        features.to_numpy(dtype=np.float64, na_value=np.nan),
        _targets(table[labels], name) if labels else None,
        name=name,
        note=note,
        label=f"column{'' if len(labels) == 1 else 's'} {', '.join(labels)}{unnamed}" if labels else "",
        kind=asked.kind,
        unclear=asked.unclear,
        feature_names=list(features.columns),
        target_names=labels if len(labels) > 1 else (),
    )


def joined_tables(tables: Sequence[DataFrame], files: Sequence[str]) -> DataFrame:
    """The rows of several tables after one another; UserError where their columns differ."""
    import pandas as pd

    if len(tables) == 1:
        return tables[0]
    columns = list(tables[0].columns)
    for table, file in zip(tables, files, strict=True):
        if list(table.columns) != columns:
            raise UserError(
                f"{file}: its columns are {_shown(list(table.columns))}, those of {files[0]} "
                f"{_shown(columns)}; give each the same"
            )
    return pd.concat(tables, ignore_index=True)


def holds_lists(table: DataFrame) -> bool:
    """Whether a column holds lists of numbers, as a .parquet of sequences does."""
    return any(
        isinstance(table[column].iloc[0], np.ndarray | list)
        for column in table.columns
        if len(table) and table[column].dtype == object
    )


def arrays_of_table(table: DataFrame, name: str) -> dict[str, Array | Ragged]:
    """The columns as arrays by name: lists stacked, or ragged where their lengths differ."""
    found: dict[str, Array | Ragged] = {}
    for column in table.columns:
        values = table[column]
        if values.isna().any():
            row = int(np.flatnonzero(values.isna())[0])
            raise UserError(
                f"{name}: column {column} is empty in row {row} (counted from 0); remove or fill it"
            )
        if isinstance(values.iloc[0], np.ndarray | list):
            found[column] = ragged_of(values.tolist(), column, name)
        else:
            found[column] = (
                values.to_numpy() if _is_number(values.dtype) else np.array(values.astype(str).tolist())
            )
    return found


def column_of(asked: str | int, columns: Sequence[str], name: str) -> str:
    """The column of this name, or of this number, from 0 or, below it, from the end."""
    if str(asked) in columns:
        return str(asked)
    if re.fullmatch(r"[-+]?\d+", str(asked)):
        number = int(asked)
        if not -len(columns) <= number < len(columns):
            raise UserError(
                f"{name}: has no column {number}; its {len(columns)} have the numbers from 0, or from -1 "
                "backwards"
            )
        return columns[number]
    raise UserError(
        f"{name}: has no column named {asked!r}", near=nearest(str(asked), columns), allowed=_few(columns)
    )


def _label_columns(table: DataFrame, asked: Sequence[str | int] | None, name: str) -> list[str]:
    """The names of the columns of targets: those asked for, or the one that can be no other."""
    columns = list(table.columns)
    if asked is not None:
        found = list(dict.fromkeys(column_of(one, columns, name) for one in asked))
        if doubled := [column for column in found if columns.count(column) > 1]:
            raise UserError(f"{name}: has several columns named {doubled[0]}; rename one")
        return found
    named = [column for column in columns if column.lower() in LABEL_COLUMNS]
    if len(named) > 1:
        raise UserError(f"{name}: columns {', '.join(named)} could all be the label; {SAY_WHICH}")
    if named:
        return named
    texts = [column for column in columns if not _is_number(table[column].dtype)]
    if len(texts) == 1 and table[texts[0]].nunique() < len(table):
        return texts
    why = f"{', '.join(texts)} all hold text" if len(texts) > 1 else "none alone holds text that occurs again"
    raise UserError(
        f"{name}: which of its {len(columns)} columns ({_shown(columns)}) is the label isn't plain: none is "
        f"called {', '.join(LABEL_COLUMNS[:-1])} or {LABEL_COLUMNS[-1]}, and {why}; {SAY_WHICH}"
    )


def _targets(labels: DataFrame, name: str) -> NDArray[Any]:
    """Targets [N] of one column, or [N, k] of several: int64 where all are 0 or 1, else floats."""
    for column in labels.columns:
        if labels[column].isna().any():
            row = int(np.flatnonzero(labels[column].isna())[0])
            raise UserError(
                f"{name}: column {column} has no label in row {row} (counted from 0); remove or fill it"
            )
    if labels.shape[1] == 1:
        only = labels.iloc[:, 0]
        return only.to_numpy() if _is_number(only.dtype) else np.array(only.astype(str).tolist())
    for column in labels.columns:
        if not _is_number(labels[column].dtype):
            raise UserError(
                f"{name}: column {column} holds text, and several labels have to be numbers; encode it as "
                "numbers, or take it alone"
            )
    values: NDArray[Any] = labels.to_numpy(dtype=np.float64)
    return values.astype(np.int64) if np.isin(values, (0, 1)).all() else values


def _row_numbers(features: DataFrame) -> str | None:
    """The first column, where it numbers the rows, which says nothing of a sample.

    It does where it holds 0, 1, 2 … or 1, 2, 3 … in any order, or whole numbers that are all different and no
    name, as pandas writes its index, or the name of an index.
    """
    first = features.columns[0]
    if features.shape[1] < 2 or len(features) < FEWEST_ROWS or not _is_number(features[first].dtype):
        return None
    values, rows = np.sort(features[first].to_numpy()), np.arange(len(features))
    if np.array_equal(values, rows) or np.array_equal(values, rows + 1):
        return str(first)
    different = values.dtype.kind in "iu" and bool((values[1:] != values[:-1]).all())
    return str(first) if different and (first == NAMELESS or first.lower() in INDEX_COLUMNS) else None


def _called(column: str) -> str:
    return "the first column, which has no name" if column == NAMELESS else f"column {column}"


def _check_numbers(features: DataFrame, name: str, *, said: bool) -> None:
    for column, dtype in features.dtypes.items():
        if not _is_number(dtype):
            hint = "" if said else f", or say that it is the label: --label {column}"
            raise UserError(f"{name}: column {column} {_not_numbers(features[column])}{hint}")


def _not_numbers(cells: Series[Any]) -> str:
    """What keeps a column from being one of numbers, and what to do about it."""
    import pandas as pd

    text = (pd.to_numeric(cells, errors="coerce").isna() & cells.notna()).to_numpy()
    if 0 < text.sum() < cells.notna().sum():
        row = int(text.argmax())
        return (
            f"holds {shortened(str(cells.iloc[row]))!r} in row {row} (counted from 0; {text.sum()} such "
            "cells in all) among numbers; mend that, or leave the column out"
        )
    values = ", ".join(shortened(str(value)) for value in cells.dropna().unique()[:3])
    return (
        f"holds no numbers ({values}, …: {cells.dtype}); leave it out or write it as numbers, as "
        f"pandas.get_dummies(table, columns=[{cells.name!r}]) does"
    )


def _few(columns: Sequence[str]) -> list[str]:
    return [*columns[:10], "…"] if len(columns) > 10 else list(columns)


def _shown(columns: Sequence[str]) -> str:
    return ", ".join(_few(columns))


def _is_number(dtype: Any) -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return bool(is_numeric_dtype(dtype) or is_bool_dtype(dtype))
