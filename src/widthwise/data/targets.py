"""Targets: what samples are judged by, read as classes or as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from widthwise.core.errors import UserError

TargetKind = Literal["classes", "numbers"]
TARGET_KINDS: tuple[TargetKind, ...] = get_args(TargetKind)
IGNORED = -100  # a target that is left out of all figures, as torch has it
OF_TASKS: dict[str, TargetKind] = {
    "classification": "classes",
    "regression": "numbers",
}  # where it is unclear
MOST_UNSAID = 50  # more different whole numbers than this are no classes that somebody numbered from 1


@dataclass(frozen=True, eq=False)
class Targets:
    """Targets [N, ...], int64 or float32.

    class_names: of classes [N], or of the classes of each place [N, ...] where they are known. names: of the
    columns of [N, k], where each target is several.
    """

    values: NDArray[np.int64] | NDArray[np.float32]
    class_names: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        shape = " x ".join(map(str, self.values.shape[1:]))
        numbers = self.values.dtype.kind == "f"
        if self.class_names:
            some = not numbers and bool((self.values == IGNORED).any())
            left_out = f", {'padding' if shape else IGNORED} left out" if some else ""
            places = f" at each of {shape} places" if shape else ""
            first = ", numbered from 1" if _counts_from_one(self.class_names) else ""
            return f"{len(self.class_names)} classes{first}{places}{left_out}"
        if numbers and not shape:
            return f"numbers from {self.values.min():g} to {self.values.max():g}"
        if self.values.ndim == 2 and not numbers and self.values.max() <= 1 and self.values.min() >= 0:
            return f"0 or 1 for each of {shape}"
        return f"{'numbers' if numbers else 'whole numbers'}, {shape} a sample"


def read_targets(
    given: ArrayLike,
    *,
    name: str,
    kind: TargetKind | None = None,
    unclear: TargetKind | None = None,
    class_names: Sequence[Any] = (),
    names: Sequence[Any] = (),
) -> Targets:
    """Targets [N, ...] of any dtype as classes or numbers: as `kind` says, or as they look.

    Text, and whole numbers from 0 without a gap, or up to 50 from 1, are classes; fractions, and more than 50
    different whole numbers, are numbers. Other whole numbers could be both, an error that tells what to say.
    Where the task says what they are for, whole numbers are what `unclear` says. -100 is left out. Of several
    targets a sample whole numbers stay as they are. Raises UserError for what is neither.
    """
    values = np.asarray(given)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        return _several(values, name, kind, class_names, names)
    if values.dtype.kind in "USO" and kind != "numbers":
        return _classes(values, class_names, name)
    if values.dtype.kind not in "fiub":
        wanted = "numbers" if kind == "numbers" else "text or whole numbers from 0"
        raise UserError(f"{name}: labels have dtype {values.dtype}; give {wanted}")
    if kind is None:
        kind = _kind_of(values, unclear, bool(class_names), name)
    return _numbers(values, name) if kind == "numbers" else _classes(values, class_names, name)


def encode_labels(
    labels: NDArray[Any], class_names: Sequence[Any] = (), *, name: str
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Class names, and labels [N] as numbers into them; text labels are mapped to their sorted names.

    Whole numbers without names, where they don't run from 0, are mapped in their order. Raises UserError for
    labels that are neither text nor whole numbers (-100 stays), that name no class, or where fewer than two
    classes occur.
    """
    names = tuple(str(known) for known in class_names)
    if labels.dtype.kind in "USO":
        names, codes = _codes_of_text(labels, names, name)
    else:
        left_out = np.asarray(labels == IGNORED)
        codes = _whole_numbers(np.where(left_out, 0, labels), name, least=0 if names else None)
        if not names:
            found = np.unique(codes[~left_out])
            names, codes = tuple(map(str, found)), np.searchsorted(found, codes).astype(np.int64)
        codes[left_out] = IGNORED
    known = np.unique(codes[codes != IGNORED])
    if not len(known):
        raise UserError(f"{name}: all labels are {IGNORED}, which is left out; give some that count")
    if codes.max() >= len(names):
        raise UserError(
            f"{name}: label {codes.max()} in row {codes.argmax()} is out of range; the {len(names)} classes "
            f"are numbered from 0 to {len(names) - 1}"
        )
    if len(known) < 2:
        raise UserError(f"{name}: all labels are {names[known[0]]}; give data with at least two classes")
    return names, codes


def _classes(labels: NDArray[Any], class_names: Sequence[Any], name: str) -> Targets:
    names, codes = encode_labels(labels, class_names, name=name)
    return Targets(codes, names)


def _kind_of(values: NDArray[Any], unclear: TargetKind | None, named: bool, name: str) -> TargetKind:
    """What numbers [N] are, by how they look; UserError where they could be both, and nothing is said."""
    _check_finite(values, name)
    numbers = values.astype(np.float64)
    if named:
        return "classes"
    if (numbers != np.floor(numbers)).any():
        return "numbers"
    if unclear is not None:
        return unclear
    found = np.unique(numbers)
    found = found[found != IGNORED] if found[-1] >= 0 else found
    without_gap = found[-1] - found[0] == len(found) - 1
    if without_gap and found[0] == 0:
        return "classes"
    if len(found) > MOST_UNSAID:
        return "numbers"
    if without_gap and found[0] == 1:
        return "classes"
    raise UserError(
        f"{name}: labels are {len(found)} different whole numbers from {found[0]:g} to {found[-1]:g}, not 0 "
        f"to {len(found) - 1}, so they may be classes or numbers; say which: --targets classes or numbers, "
        "data.targets in a config, targets= in Python"
    )


def _counts_from_one(class_names: Sequence[str]) -> bool:
    return list(class_names) == [str(number) for number in range(1, len(class_names) + 1)]


def _numbers(values: NDArray[Any], name: str) -> Targets:
    _check_finite(values, name)
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, which is reported
        floats = values.astype(np.float32)
    _check_finite(floats, name)
    return Targets(floats)


def _several(
    values: NDArray[Any],
    name: str,
    kind: TargetKind | None,
    class_names: Sequence[Any],
    names: Sequence[Any],
) -> Targets:
    if values.dtype.kind not in "fiub":
        raise UserError(
            f"{name}: labels of shape {list(values.shape)} have dtype {values.dtype}; give numbers"
        )
    called = tuple(map(str, names))
    if values.ndim > 2 and set(np.unique(values).tolist()) == {0, 255}:
        raise UserError(
            f"{name}: labels are 0 and 255 alone, and 255 is left out of masks as image data sets have it; "
            "number the classes 0 and 1"
        )
    if values.dtype.kind != "f" and kind != "numbers":
        if values.dtype.kind == "u" and values.dtype.itemsize == 8 and values.max() > np.iinfo(np.int64).max:
            raise UserError(f"{name}: label {values.max()} is more than 64 bits hold; give smaller ones")
        return Targets(values.astype(np.int64), tuple(map(str, class_names)), called)
    found = _numbers(values, name).values
    if kind == "classes":
        return Targets(_whole_numbers(found, name), tuple(map(str, class_names)), called)
    return Targets(found, (), called)


def _check_finite(values: NDArray[Any], name: str) -> None:
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        row = tuple(int(index) for index in wrong[0])
        raise UserError(
            f"{name}: label {values[row]} in row {row[0]} is no number that can be learnt; remove the row or "
            "fill it"
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


def _whole_numbers(labels: NDArray[Any], name: str, *, least: int | None = None) -> NDArray[np.int64]:
    numbers = labels.astype(np.float64)
    low = -(2.0**62) if least is None else least
    good = (numbers >= low) & (numbers <= 2.0**62) & (numbers == np.floor(numbers)) & np.isfinite(numbers)
    wrong = np.argwhere(~good)
    if len(wrong):
        row = tuple(int(index) for index in wrong[0])
        raise UserError(
            f"{name}: label {labels[row]} in row {row[0]} is no class; give whole numbers from 0, or text"
        )
    return labels.astype(np.int64)
