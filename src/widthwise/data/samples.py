"""Samples: features and targets, checked once when they come in."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from widthwise.core.errors import UserError
from widthwise.data.targets import TargetKind, Targets, read_targets

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
    """Finite features [N, ...] with targets [N, ...], and what is known about them."""

    name: str
    note: str  # one line for outputs: what this data is
    x: NDArray[np.float32] | NDArray[np.int64]  # whole numbers: tokens
    targets: Targets
    feature_names: tuple[str, ...]  # empty where a sample is no flat list of features
    label: str = ""  # where the targets are from, as "column price"
    scaler: Scaler | None = None  # reference statistics that came with the data
    standardise: Standardise = "none"  # unless the user says otherwise
    test_rows: int = 0  # the last so many rows are the test split, as published

    def with_test_rows(self, count: int) -> Samples:
        """The same samples, the last `count` of which are the test split."""
        return dataclasses.replace(self, test_rows=count)


def check_samples(
    x: ArrayLike,
    y: ArrayLike,
    *,
    name: str,
    note: str,
    label: str = "",
    kind: TargetKind | None = None,
    feature_names: Sequence[Any] = (),
    class_names: Sequence[Any] = (),
    target_names: Sequence[Any] = (),
    scaler: Scaler | None = None,
    standardise: Standardise | None = None,
) -> Samples:
    """Samples from features [N, ...] and targets [N, ...], both of any dtype; targets by `read_targets`.

    label: where the targets are from. kind: what they are, where that is said. Without `standardise`, flat
    samples are standardised and others (images) are taken as they are. Raises UserError for shapes that don't
    agree, no rows, values that aren't finite numbers, and labels that are no targets.
    """
    features = _features(x, name)
    labels = np.asarray(y)
    if labels.shape[:1] != features.shape[:1]:
        raise UserError(
            f"{name}: labels of shape {list(labels.shape)} don't go with features of shape "
            f"{list(features.shape)}; give one label for each of the {len(features)} rows"
        )
    flat = features.ndim == 2
    names = tuple(str(feature) for feature in feature_names) if flat else ()
    if flat and not names:
        names = tuple(f"x{index}" for index in range(features.shape[1]))
    _check_finite(features, names, name)
    targets = read_targets(labels, name=name, kind=kind, class_names=class_names, names=target_names)
    usual: Standardise = "train" if flat else "none"
    return Samples(name, note, features, targets, names, label, scaler, standardise or usual)


def _features(x: ArrayLike, name: str) -> NDArray[np.float32]:
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
        return raw.astype(np.float32)


def _check_finite(x: NDArray[np.float32], feature_names: tuple[str, ...], name: str) -> None:
    bad = np.argwhere(~np.isfinite(x))
    if not len(bad):
        return
    row, *place = (int(index) for index in bad[0])
    feature = feature_names[place[0]] if feature_names else list(place)
    raise UserError(
        f"{name}: feature {feature} is {x[tuple(bad[0])]} in row {row} (counted from 0; {len(bad)} such "
        "values in all); remove or fill them"
    )
