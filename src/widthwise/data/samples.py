"""Samples: features and labels, checked once when they come in."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from widthwise.core.errors import UserError

Standardise = Literal["train", "reference", "none"]
STANDARDISATIONS = get_args(Standardise)


@dataclass(frozen=True, eq=False)
class Scaler:
    """Standardisation: z = (x - mean) / scale, each of the shape of one sample."""

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Standardised samples, same shape [N, ...] as x."""
        return ((x - self.mean) / self.scale).astype(np.float32)

    @classmethod
    def of(cls, x: NDArray[np.float32]) -> Scaler:
        """Mean and standard deviation of each feature of x, [N, ...]; a constant feature is only centred."""
        mean = x.mean(axis=0, dtype=np.float64)
        deviation = x.std(axis=0, dtype=np.float64)
        resolution = 1e-7 * np.abs(mean)  # float32 holds no smaller differences
        constant = deviation <= resolution
        return cls(mean.astype(np.float32), np.where(constant, 1.0, deviation).astype(np.float32))


@dataclass(frozen=True, eq=False)
class Samples:
    """Finite features [N, ...] with labels [N] from 0 to classes - 1, and what is known about them."""

    name: str
    note: str  # one line for outputs: what this data is
    x: NDArray[np.float32]
    y: NDArray[np.int64]
    feature_names: tuple[str, ...]  # empty where a sample is no flat list of features
    class_names: tuple[str, ...]
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
    feature_names: Sequence[Any] = (),
    class_names: Sequence[Any] = (),
    scaler: Scaler | None = None,
    standardise: Standardise | None = None,
) -> Samples:
    """Samples from features [N, ...] and labels [N] (whole numbers from 0, or text), both of any dtype.

    Without `standardise`, flat samples are standardised and others (images) are taken as they are. Raises
    UserError for shapes that don't agree, no rows, values that aren't finite numbers, and labels that are no
    classes.
    """
    features = _features(x, name)
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != features.shape[:1]:
        raise UserError(
            f"{name}: labels of shape {list(labels.shape)} don't go with features of shape "
            f"{list(features.shape)}; give one label for each of the {len(features)} rows"
        )
    flat = features.ndim == 2
    names = tuple(str(feature) for feature in feature_names) if flat else ()
    if flat and not names:
        names = tuple(f"x{index}" for index in range(features.shape[1]))
    _check_finite(features, names, name)
    classes, encoded = encode_labels(labels, class_names, name=name)
    usual: Standardise = "train" if flat else "none"
    return Samples(name, note, features, encoded, names, classes, scaler, standardise or usual)


def encode_labels(
    labels: NDArray[Any], class_names: Sequence[Any] = (), *, name: str
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Class names, and labels [N] as numbers into them; text labels are mapped to their sorted names.

    Raises UserError for labels that are neither text nor whole numbers from 0, that name no class, or where
    fewer than two classes occur.
    """
    names = tuple(str(known) for known in class_names)
    if labels.dtype.kind in "USO":
        names, codes = _codes_of_text(labels, names, name)
    else:
        codes = _whole_numbers(labels, name)
        names = names or _names_of_numbers(codes, name)
    if codes.max() >= len(names):
        raise UserError(
            f"{name}: label {codes.max()} in row {codes.argmax()} is out of range; the {len(names)} classes "
            f"are numbered from 0 to {len(names) - 1}"
        )
    if len(np.unique(codes)) < 2:
        raise UserError(f"{name}: all labels are {names[codes[0]]}; give data with at least two classes")
    return names, codes


def _features(x: ArrayLike, name: str) -> NDArray[np.float32]:
    raw = np.asarray(x)
    if raw.dtype.kind not in "fiub":
        raise UserError(f"{name}: features have dtype {raw.dtype}; give real numbers")
    if raw.ndim < 2 or 0 in raw.shape[1:]:
        raise UserError(
            f"{name}: features have shape {list(raw.shape)}; give [rows, features] or [rows, channels, ...]"
        )
    if len(raw) == 0:
        raise UserError(f"{name}: has no rows; give data with at least two classes")
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


def _codes_of_text(
    labels: NDArray[Any], names: tuple[str, ...], name: str
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    wrong = [row for row, label in enumerate(labels.tolist()) if not isinstance(label, str) or not label]
    if wrong:
        raise UserError(
            f"{name}: the label in row {wrong[0]} is {labels[wrong[0]]!r}; give text or whole numbers"
        )
    found, codes = np.unique(labels.astype(str), return_inverse=True)
    names = names or tuple(str(label) for label in found)
    for label in found:
        if label not in names:
            raise UserError(f"{name}: label {str(label)!r} is none of the classes {', '.join(names)}")
    return names, np.array([names.index(label) for label in found])[codes].astype(np.int64)


def _whole_numbers(labels: NDArray[Any], name: str) -> NDArray[np.int64]:
    if labels.dtype.kind not in "fiub":
        raise UserError(f"{name}: labels have dtype {labels.dtype}; give text or whole numbers from 0")
    numbers = labels.astype(np.float64)
    wrong = np.flatnonzero(~((numbers >= 0) & (numbers == np.floor(numbers)) & np.isfinite(numbers)))
    if len(wrong):
        row = int(wrong[0])
        raise UserError(
            f"{name}: label {labels[row]} in row {row} is no class; give whole numbers from 0, or text"
        )
    return labels.astype(np.int64)


def _names_of_numbers(codes: NDArray[np.int64], name: str) -> tuple[str, ...]:
    found = np.unique(codes)
    if found[-1] >= len(found):  # a gap: most often labels that start at 1
        missing = next(number for number, code in enumerate(found) if number != code)
        raise UserError(
            f"{name}: labels run up to {found[-1]}, but none is {missing}; number the classes from 0 without "
            "gaps"
        )
    return tuple(str(code) for code in found)
