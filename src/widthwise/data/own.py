"""The user's own data: .npz, .csv and .parquet files, folders, or what a callable returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from widthwise.core.errors import UserError
from widthwise.core.files import existing_file, read_npz
from widthwise.data.arrays import FACTS, NOTHING_SAID, Asked, samples_of_arrays
from widthwise.data.folders import SAMPLE_TYPES, holds_samples, samples_of_folder
from widthwise.data.padding import joined_arrays, ragged_of
from widthwise.data.samples import Samples, check_samples
from widthwise.data.table_files import read_table
from widthwise.data.tables import arrays_of_table, holds_lists, joined_tables, samples_of_table

if TYPE_CHECKING:
    from widthwise.data.padding import Array, Ragged

FILE_TYPES = (".npz", ".csv", ".parquet")


def read_samples(
    path: str | Path,
    *,
    name: str | None = None,
    asked: Asked = NOTHING_SAID,
    header: bool | None = None,
) -> Samples:
    """Samples of an .npz, .csv or .parquet file, or of all files of one of these types in a folder, by name.

    Or of a folder of images or .npy arrays (`samples_of_folder`). An .npz has arrays X and y, or inputs by
    other names (`samples_of_arrays`); the others have columns of targets and features (`samples_of_table`),
    or of lists of numbers, which are sequences. header: as in `read_table`. Raises UserError where a file is
    missing, broken, holds no samples, or where it isn't plain what the label is.
    """
    path = Path(path).expanduser()
    name = name or path.name
    note = name if name == str(path) else f"{name}: {path}"
    is_folder = path.is_dir() and not path.suffix
    if is_folder and holds_samples(path):
        if header is not None:
            raise UserError(f"{path}: header is for .csv files; leave it out")
        return samples_of_folder(path, name=name, note=note, asked=asked)
    files = _in_folder(path) if is_folder else [existing_file(path)]
    if files[0].suffix.lower() == ".npz":
        if header is not None:
            raise UserError(f"{path}: header is for .csv files; leave it out")
        arrays = _joined([read_npz(file) for file in files], files)
        return samples_of_arrays(arrays, name=name, note=note, asked=asked)
    table = joined_tables([read_table(file, header=header) for file in files], [str(file) for file in files])
    if holds_lists(table):
        return samples_of_arrays(arrays_of_table(table, name), name=name, note=note, asked=asked)
    return samples_of_table(table, name=name, note=note, asked=asked)


def _in_folder(folder: Path) -> list[Path]:
    """The data files of a folder by name; UserError where there are none, or of several types."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in FILE_TYPES)
    types = sorted({path.suffix.lower() for path in files})
    if len(types) != 1:
        found = " and ".join(types) or "none"
        raise UserError(
            f"{folder}: a folder of data holds {', '.join(FILE_TYPES)} files of one type, or a file a sample "
            f"({', '.join(SAMPLE_TYPES)}); found {found}"
        )
    return files


def _joined(parts: Sequence[Mapping[str, Array]], files: Sequence[Path]) -> dict[str, Array | Ragged]:
    """The arrays of several files after one another; what has no row for each sample is that of the first."""
    first = parts[0]
    for part, file in zip(parts, files, strict=True):
        if part.keys() != first.keys():
            raise UserError(
                f"{file}: holds {', '.join(part)}, but {files[0].name} {', '.join(first)}; give each the same"
            )
    if len(parts) == 1:
        return dict(first)
    where = str(files[0].parent)
    return {
        key: joined_arrays([part[key] for part in parts], key, where) if key not in FACTS else first[key]
        for key in first
    }


def samples_of(made: Any, *, name: str, asked: Asked = NOTHING_SAID) -> Samples:
    """Samples of what a callable returned: a pair (X, y), (X, None), or arrays by name.

    Arrays may be tensors, or lists; raises UserError for anything else.
    """
    note = f"{name}: the user's own data"
    if isinstance(made, Mapping):
        arrays = {str(key): _array(value, str(key), name) for key, value in made.items()}
        return samples_of_arrays(arrays, name=name, note=note, asked=asked)
    if not isinstance(made, tuple | list) or len(made) != 2:
        raise UserError(
            f"{name}: returned a {type(made).__name__}; return a pair (X, y), arrays by name, or a data "
            "module with train_dataloader, val_dataloader and test_dataloader"
        )
    if _is_ragged(made[0]):
        held: dict[str, Array | Ragged] = {"x": _array(made[0], "X", name)}
        if made[1] is not None:
            held["y"] = _array(made[1], "y", name)
        return samples_of_arrays(held, name=name, note=note, asked=asked)
    try:
        x, y = (None if part is None else np.asarray(part) for part in made)
    except (ValueError, TypeError, RuntimeError) as error:  # ragged lists, tensors that need a gradient
        raise UserError(f"{name}: returned a pair that is no pair of arrays: {error}") from error
    if x is None:
        raise UserError(f"{name}: returned no samples; return a pair (X, y), or (X, None) without targets")
    return check_samples(
        x, y, name=name, note=note, kind=asked.kind, unclear=asked.unclear, standardise="none"
    )


def _is_ragged(given: Any) -> bool:
    """Whether it is a list of samples of different lengths."""
    if not isinstance(given, list | tuple):
        return False
    lengths = {len(row) for row in given if hasattr(row, "__len__") and getattr(row, "ndim", 1) != 0}
    return len(lengths) > 1


def _array(value: Any, key: str, name: str) -> Array | Ragged:
    try:
        if isinstance(value, list | tuple) and value and not isinstance(value[0], int | float | str):
            return ragged_of([np.asarray(row) for row in value], key, name)
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"{name}: returned {key}, which is no array: {error}") from error
