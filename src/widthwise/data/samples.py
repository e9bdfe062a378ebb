"""Samples: features and targets, checked once when they come in."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from widthwise.core.errors import UserError
from widthwise.data.targets import TargetKind, Targets, read_targets

Array = NDArray[Any]
Inputs = Array | Mapping[str, Array]
Standardise = Literal["train", "reference", "none"]
STANDARDISATIONS = get_args(Standardise)


@dataclass(frozen=True, eq=False)
class Scaler:
    """Standardisation: z = (x - mean) / scale, each of the shape of one sample."""

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    def __call__(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Standardised samples, same shape [N, ...] as x."""
        return ((x - self.mean) / self.scale).astype(np.float32)

    @classmethod
    def of(cls, x: NDArray[Any]) -> Scaler:
        """Mean and standard deviation of each feature of x, [N, ...]; a constant feature is only centred."""
        mean = x.mean(axis=0, dtype=np.float64)
        deviation = x.std(axis=0, dtype=np.float64)
        resolution = 1e-7 * np.abs(mean)  # float32 holds no smaller differences
        constant = deviation <= resolution
        return cls(mean.astype(np.float32), np.where(constant, 1.0, deviation).astype(np.float32))


@dataclass(frozen=True, eq=False)
class Samples:
    """Finite inputs [N, ...], one or several by name, with targets [N, ...], and what is known about them.

    Inputs are float32, or int64 where they are tokens. targets: None where there are none.
    """

    name: str
    note: str  # one line for outputs: what this data is
    x: Inputs
    targets: Targets | None
    feature_names: tuple[str, ...]  # empty where a sample is no flat list of features
    label: str = ""  # where the targets are from, as "column price"
    scaler: Scaler | None = None  # reference statistics that came with the data
    standardise: Standardise = "none"  # unless the user says otherwise
    test_rows: int = 0  # the last so many rows are the test split, as published

    def __len__(self) -> int:
        x = self.x
        return len(next(iter(x.values())) if isinstance(x, Mapping) else x)

    @property
    def numbers(self) -> NDArray[np.float32] | None:
        """The only input, where it is numbers that can be standardised."""
        x = self.x
        return x.astype(np.float32, copy=False) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else None

    def with_test_rows(self, count: int) -> Samples:
        """The same samples, the last `count` of which are the test split."""
        return dataclasses.replace(self, test_rows=count)


def check_samples(
    x: ArrayLike | Mapping[str, Array],
    y: ArrayLike | Targets | None,
    *,
    name: str,
    note: str,
    label: str = "",
    kind: TargetKind | None = None,
    unclear: TargetKind | None = None,
    tokens: bool = False,
    feature_names: Sequence[Any] = (),
    class_names: Sequence[Any] = (),
    target_names: Sequence[Any] = (),
    scaler: Scaler | None = None,
    standardise: Standardise | None = None,
) -> Samples:
    """Samples from inputs [N, ...] and targets [N, ...], of any dtype; targets by `read_targets`, or read.

    label: where the targets are from. kind: what they are, where that is said; unclear: what whole numbers
    are, where the task says it. tokens: whole numbers stay so, as they do in several inputs. Without
    `standardise`, flat samples of numbers are standardised and others (images) are taken as they are. Raises
    UserError for shapes that don't agree, no rows, values that aren't finite numbers, and labels that are no
    targets.
    """
    names: tuple[str, ...] = ()
    if isinstance(x, Mapping):
        features: Inputs = {key: _input(array, key, name) for key, array in x.items()}
        flat = False
    else:
        features = _features(x, name, tokens=tokens)
        flat = features.ndim == 2 and features.dtype.kind == "f"
        names = _feature_names(feature_names, features.shape[1]) if flat else ()
        _check_finite(features, names, name)
    usual: Standardise = "train" if flat else "none"
    read = Samples(name, note, features, None, names, label, scaler, standardise or usual)
    if y is None:
        return read
    labels = y.values if isinstance(y, Targets) else np.asarray(y)
    if labels.shape[:1] != (len(read),):
        shape = [len(read), "…"] if isinstance(features, Mapping) else list(features.shape)
        raise UserError(
            f"{name}: labels of shape {list(labels.shape)} don't go with features of shape {shape}; give one "
            f"label for each of the {len(read)} rows"
        )
    if not isinstance(y, Targets):
        how: dict[str, Any] = {"class_names": class_names, "names": target_names, "unclear": unclear}
        y = read_targets(labels, name=name, kind=kind, **how)
    return dataclasses.replace(read, targets=y)


def _feature_names(given: Sequence[Any], count: int) -> tuple[str, ...]:
    return tuple(str(feature) for feature in given) or tuple(f"x{index}" for index in range(count))


def _features(x: ArrayLike, name: str, *, tokens: bool) -> Array:
    raw = np.asarray(x)
    if raw.dtype.kind not in "fiub":
        raise UserError(f"{name}: features have dtype {raw.dtype}; give real numbers")
    if raw.ndim < 2 or 0 in raw.shape[1:]:
        raise UserError(
            f"{name}: features have shape {list(raw.shape)}; give [rows, features] or [rows, channels, ...]"
        )
    if len(raw) == 0:
        raise UserError(f"{name}: has no rows; give at least one for each part of the data")
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, which is reported
        return raw.astype(np.int64 if tokens and raw.dtype.kind != "f" else np.float32)


def _input(given: Array, key: str, name: str) -> Array:
    """One of several inputs: float32, or int64 where it holds whole numbers."""
    raw = np.asarray(given)
    if raw.dtype.kind not in "fiub" or raw.ndim == 0 or not raw.size:
        raise UserError(
            f"{name}: input {key} has dtype {raw.dtype} and shape {list(raw.shape)}; give numbers, a row each"
        )
    if raw.dtype.kind != "f":
        return raw.astype(np.int64)
    with np.errstate(over="ignore"):
        floats = raw.astype(np.float32)
    _check_finite(floats, (), f"{name}: {key}")
    return floats


def _check_finite(x: Array, feature_names: tuple[str, ...], name: str) -> None:
    bad = np.argwhere(~np.isfinite(x))
    if not len(bad):
        return
    row, *place = (int(index) for index in bad[0])
    feature = feature_names[place[0]] if feature_names else list(place)
    raise UserError(
        f"{name}: feature {feature} is {x[tuple(bad[0])]} in row {row} (counted from 0; {len(bad)} such "
        "values in all); remove those samples, or give them finite numbers"
    )
