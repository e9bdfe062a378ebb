"""The user's own data: .npz, .csv and .parquet files, or what a callable returns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from widthwise.core.errors import UserError, unknown
from widthwise.core.files import existing_file, read_npz
from widthwise.data.samples import Samples, Scaler, check_samples
from widthwise.data.tables import read_table, samples_of_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from widthwise.data.targets import TargetKind

FEATURE_ARRAYS = ("X", "x", "features")
LABEL_ARRAYS = ("y", "labels")


def read_samples(
    path: str | Path,
    *,
    name: str | None = None,
    label: Sequence[str | int] | None = None,
    header: bool | None = None,
    kind: TargetKind | None = None,
) -> Samples:
    """Samples of an .npz (arrays X and y), .csv or .parquet file (columns of targets, the others features).

    An .npz may also hold feature_names, class_names, scaler_mean and scaler_scale. label: which arrays or
    columns are the targets; without it the column is the one named label, target, class or y, or the only one
    of text. header, kind: as in `read_table` and `read_targets`. Raises UserError where the file is missing,
    broken, holds no samples, or where it isn't plain what the label is.
    """
    path = existing_file(path)
    name = name or path.name
    if path.suffix.lower() == ".npz":
        if header is not None:
            raise UserError(f"{path}: header is for .csv files; leave it out")
        return _samples_of_arrays(read_npz(path), path, name, label, kind)
    table = read_table(path, header=header)
    return samples_of_table(table, name=name, note=_note(name, path), label=label, kind=kind)


def _note(name: str, path: Path) -> str:
    return name if name == str(path) else f"{name}: {path}"


def samples_of_pair(made: Any, *, name: str, kind: TargetKind | None = None) -> Samples:
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
    return check_samples(x, y, name=name, note=f"{name}: the user's own data", kind=kind, standardise="none")


def _samples_of_arrays(
    arrays: dict[str, NDArray[Any]],
    path: Path,
    name: str,
    label: Sequence[str | int] | None,
    kind: TargetKind | None,
) -> Samples:
    x = _picked(arrays, FEATURE_ARRAYS, path)
    labels = [_picked_name(arrays, LABEL_ARRAYS, path)] if label is None else _asked(arrays, label, path)
    y = arrays[labels[0]] if len(labels) == 1 else _stacked(arrays, labels, path)
    return check_samples(
        x,
        y,
        name=name,
        note=_note(name, path),
        label=f"array{'' if len(labels) == 1 else 's'} {', '.join(labels)}",
        kind=kind,
        feature_names=_names(arrays, "feature_names", x.shape[1] if x.ndim == 2 else None, path),
        class_names=_names(arrays, "class_names", None, path),
        target_names=labels if len(labels) > 1 else (),
        scaler=_scaler(arrays, x.shape[1:], path),
    )


def _picked(arrays: dict[str, NDArray[Any]], names: tuple[str, ...], path: Path) -> NDArray[Any]:
    return arrays[_picked_name(arrays, names, path)]


def _picked_name(arrays: dict[str, NDArray[Any]], names: tuple[str, ...], path: Path) -> str:
    for known in names:
        if known in arrays:
            return known
    found = ", ".join(arrays) or "none"
    raise UserError(
        f"{path}: holds no array named {' or '.join(names)} (found: {found}); store it under one of them"
    )


def _asked(arrays: dict[str, NDArray[Any]], label: Sequence[str | int], path: Path) -> list[str]:
    for one in label:
        if one not in arrays:
            raise unknown("array", one, arrays, where=str(path))
    return [str(one) for one in dict.fromkeys(label)]


def _stacked(arrays: dict[str, NDArray[Any]], labels: Sequence[str], path: Path) -> NDArray[Any]:
    """Targets [N, k] of k arrays [N]."""
    shapes = {name: list(arrays[name].shape) for name in labels}
    if any(len(shape) != 1 for shape in shapes.values()) or len({*map(tuple, shapes.values())}) > 1:
        said = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise UserError(f"{path}: several labels are arrays [rows] of one length; found {said}")
    return np.stack([arrays[name] for name in labels], axis=1)


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
