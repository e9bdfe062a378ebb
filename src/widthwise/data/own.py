"""The user's own data: .npz, .csv and .parquet files, or what a callable returns."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from widthwise.core.errors import UserError
from widthwise.core.files import existing_file, read_npz
from widthwise.data.samples import Samples, Scaler, check_samples

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pandas import DataFrame

FEATURE_ARRAYS = ("X", "x", "features")
LABEL_ARRAYS = ("y", "labels")
LABEL_COLUMNS = ("label", "target", "class", "y")


def read_samples(path: str | Path, *, name: str | None = None) -> Samples:
    """Samples of an .npz (arrays X and y), .csv or .parquet file (one column of labels, the others features).

    An .npz may also hold feature_names, class_names, scaler_mean and scaler_scale. The label column is the
    one named label, target, class or y, else the last. Raises UserError where the file is missing, broken or
    holds no samples.
    """
    path = existing_file(path)
    name = name or path.name
    if path.suffix.lower() == ".npz":
        return _samples_of_arrays(read_npz(path), path, name)
    return samples_of_table(_read_table(path), name=name, note=_note(name, path))


def samples_of_table(table: DataFrame, *, name: str, note: str) -> Samples:
    """Samples of a data frame with a column of labels and numbers in all others."""
    if table.shape[1] < 2:
        raise UserError(
            f"{name}: has {table.shape[1]} columns; give features and a label, separated by commas"
        )
    if table.empty:
        raise UserError(f"{name}: has no rows; give data with at least two classes")
    label = _label_column(table, name)
    features = table.drop(columns=label)
    for column, dtype in features.dtypes.items():
        if not _is_number(dtype):
            raise UserError(
                f"{name}: column {column} has dtype {dtype}, not numbers; remove it or encode it as numbers"
            )
    labels = table[label]
    if labels.isna().any():
        row = int(np.flatnonzero(labels.isna())[0])
        raise UserError(
            f"{name}: column {label} has no label in row {row} (counted from 0); remove or fill it"
        )
    numeric = _is_number(labels.dtype)
    return check_samples(
        features.to_numpy(dtype=np.float64, na_value=np.nan),
        labels.to_numpy() if numeric else np.array(labels.astype(str).tolist()),
        name=name,
        note=note,
        feature_names=list(features.columns),
    )


def _note(name: str, path: Path) -> str:
    return name if name == str(path) else f"{name}: {path}"


def samples_of_pair(made: Any, *, name: str) -> Samples:
    """Samples of a pair (X, y) of arrays, tensors or lists; raises UserError for anything else."""
    if not isinstance(made, tuple | list) or len(made) != 2:
        raise UserError(
            f"{name}: returned a {type(made).__name__}; return a pair (X, y), or a data module with "
            "train_dataloader, val_dataloader and test_dataloader"
        )
    try:
        x, y = (np.asarray(part) for part in made)
    except (ValueError, TypeError, RuntimeError) as error:  # ragged lists, tensors that need a gradient
        raise UserError(f"{name}: returned a pair that is no pair of arrays: {error}") from error
    return check_samples(x, y, name=name, note=f"{name}: the user's own data", standardise="none")


def _samples_of_arrays(arrays: dict[str, NDArray[Any]], path: Path, name: str) -> Samples:
    def pick(names: tuple[str, ...]) -> NDArray[Any]:
        for known in names:
            if known in arrays:
                return arrays[known]
        found = ", ".join(arrays) or "none"
        raise UserError(
            f"{path}: holds no array named {' or '.join(names)} (found: {found}); store it under one of them"
        )

    x, y = pick(FEATURE_ARRAYS), pick(LABEL_ARRAYS)
    return check_samples(
        x,
        y,
        name=name,
        note=_note(name, path),
        feature_names=_names(arrays, "feature_names", x.shape[1] if x.ndim == 2 else None, path),
        class_names=_names(arrays, "class_names", None, path),
        scaler=_scaler(arrays, x.shape[1:], path),
    )


def _names(arrays: dict[str, NDArray[Any]], key: str, count: int | None, path: Path) -> list[str]:
    names = [str(known) for known in arrays.get(key, np.array([])).ravel()]
    if names and count is not None and len(names) != count:
        raise UserError(f"{path}: {key} holds {len(names)} names for {count} columns; give one for each")
    return names


def _scaler(arrays: dict[str, NDArray[Any]], shape: tuple[int, ...], path: Path) -> Scaler | None:
    if not {"scaler_mean", "scaler_scale"} <= arrays.keys():
        return None
    found = arrays["scaler_mean"], arrays["scaler_scale"]
    if not all(array.dtype.kind in "iuf" for array in found):
        raise UserError(
            f"{path}: scaler_mean and scaler_scale hold no real numbers; store numbers or neither"
        )
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, which is reported
        mean, scale = (array.astype(np.float32) for array in found)
    finite = bool(np.isfinite(mean).all() and np.isfinite(scale).all())
    if mean.shape != shape or scale.shape != shape or not finite or not (scale > 0).all():
        raise UserError(
            f"{path}: scaler_mean {list(mean.shape)} and scaler_scale {list(scale.shape)} don't standardise "
            f"samples of shape {list(shape)}; both have that shape, are finite, and every scale is above 0"
        )
    return Scaler(mean, scale)


def _read_table(path: Path) -> DataFrame:
    suffix = path.suffix.lower()
    try:
        import pandas as pd

        return pd.read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
    except ImportError as error:
        raise UserError(f"{path}: reading {suffix} files needs pandas and pyarrow; install them") from error
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: no {suffix} file that can be read: {reason}") from error


def _label_column(table: DataFrame, name: str) -> str:
    columns = [str(column) for column in table.columns]
    table.columns = columns
    if all(re.fullmatch(r"[-+.]?\d[-+.\deE]*", column) for column in columns):
        raise UserError(
            f"{name}: its first line holds numbers; put a line with the names of the columns first"
        )
    named = [column for column in columns if column.lower() in LABEL_COLUMNS]
    if len(named) > 1:
        raise UserError(f"{name}: columns {', '.join(named)} could all be the label; keep one of these names")
    return named[0] if named else columns[-1]


def _is_number(dtype: Any) -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return bool(is_numeric_dtype(dtype) or is_bool_dtype(dtype))
