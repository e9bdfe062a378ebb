"""Splitting samples into training, validation and test parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from widthwise.core.errors import UserError

if TYPE_CHECKING:
    from widthwise.data.samples import Samples

SPLITS = ("train", "val", "test")


def check_splits(splits: Sequence[float]) -> None:
    """Raises UserError unless splits are three shares (train, val, test) that add up to 1."""
    shares = tuple(splits)
    if len(shares) != len(SPLITS) or any(isinstance(share, str) or not 0 <= share <= 1 for share in shares):
        raise UserError(
            f"splits = {shares} are not three shares from 0 to 1 (train, val, test), as in (0.6, 0.2, 0.2)"
        )
    if not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise UserError(
            f"splits = {shares} add up to {sum(shares):g}; the shares of train, val and test add up to 1"
        )


def split_samples(samples: Samples, shares: Sequence[float], *, seed: int) -> tuple[NDArray[np.int64], ...]:
    """Row numbers of train, val and test: classes by their shares, other targets at random.

    Where a test split was published it stays, and the shares are those of the rest. Raises UserError where a
    class, or the data, has too few rows.
    """
    targets, name, total = samples.targets, samples.name, len(samples)
    if samples.test_rows and not sum(shares[:2]):
        raise UserError(f"{name}: its test split is given; give train and val shares of the rest in splits")
    asked = shares[:2] if samples.test_rows else shares
    rows = total - samples.test_rows
    if targets is not None and targets.values.ndim == 1 and targets.class_names:
        y = targets.values[:rows].astype(np.int64)
        found = stratified_split(y, asked, seed=seed, class_names=targets.class_names, name=name)
    else:
        found = random_split(rows, asked, seed=seed, name=name)
    return (*found, np.arange(rows, total)) if samples.test_rows else found


def random_split(
    rows: int, shares: Sequence[float], *, seed: int, name: str
) -> tuple[NDArray[np.int64], ...]:
    """Row numbers of each part, ascending, drawn with the seed; UserError for fewer rows than parts."""
    if rows < np.count_nonzero(shares):
        raise UserError(
            f"{name}: has {rows} rows, too few for {np.count_nonzero(shares)} splits; add some, or give "
            "fewer parts a share"
        )
    order = np.random.default_rng(seed).permutation(rows)
    bounds = np.cumsum(_sizes(rows, shares))[:-1]
    return tuple(np.sort(part).astype(np.int64) for part in np.split(order, bounds))


def stratified_split(
    y: NDArray[np.int64], shares: Sequence[float], *, seed: int, class_names: Sequence[str], name: str
) -> tuple[NDArray[np.int64], ...]:
    """Row numbers of each part, ascending: every class has its share in every part, and at least one row.

    Raises UserError where a class has fewer rows than there are parts with a share.
    """
    parts: list[list[NDArray[np.int64]]] = [[] for _ in shares]
    rng = np.random.default_rng(seed)
    for label in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == label))
        if len(rows) < np.count_nonzero(shares) and label >= 0:
            numbers = '; for numbers say task = "regression"' if _are_numbers(class_names) else ""
            raise UserError(
                f"{name}: class {class_names[label]} has {len(rows)} of the {len(y)} rows, too few for "
                f"{np.count_nonzero(shares)} splits; add rows of it or leave the class out" + numbers
            )
        bounds = np.cumsum(_sizes(len(rows), shares))[:-1]
        for part, chosen in zip(parts, np.split(rows, bounds), strict=True):
            part.append(chosen)
    return tuple(np.sort(np.concatenate(part)).astype(np.int64) for part in parts)


def _are_numbers(names: Sequence[str]) -> bool:
    """Whether the classes have no names but their numbers, so that they may be meant as such."""
    return all(name.lstrip("-").isdigit() for name in names)


def _sizes(rows: int, shares: Sequence[float]) -> NDArray[np.int64]:
    """Whole sizes nearest to the shares (largest remainders), none of them 0 where there is a share."""
    ideal = rows * np.asarray(shares, dtype=np.float64) / sum(shares)
    sizes = np.floor(ideal + 1e-9).astype(np.int64)
    by_remainder = np.argsort(sizes - ideal, kind="stable")
    sizes[by_remainder[: rows - sizes.sum()]] += 1
    for part in np.flatnonzero((sizes == 0) & (ideal > 0)):
        sizes[sizes.argmax()] -= 1
        sizes[part] = 1
    return sizes
