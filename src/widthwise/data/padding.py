"""Sequences of different lengths as one array, with a mask that tells what is padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from widthwise.core.errors import UserError
from widthwise.data.names import MASKS
from widthwise.data.targets import IGNORED

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Ragged:
    """Arrays [length, ...] of different lengths, one for each sample."""

    rows: tuple[Array, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How long each is, [N]."""
        return np.array([len(row) for row in self.rows], dtype=np.int64)

    def padded(self, filler: float) -> Array:
        """One array [N, longest, ...]."""
        first = self.rows[0]
        whole = np.full((len(self), int(self.lengths.max()), *first.shape[1:]), filler, dtype=first.dtype)
        for place, row in zip(whole, self.rows, strict=True):
            place[: len(row)] = row
        return whole


def ragged_of(rows: Sequence[Any], column: str, name: str) -> Array | Ragged:
    """Samples that are lists or arrays: stacked [N, ...] where all have one shape, else ragged.

    Raises UserError for what isn't numbers, or differs in more than its length.
    """
    arrays = [_as_array(row) for row in rows]
    kinds = {array.dtype.kind for array in arrays if array.size}
    if not kinds <= set("iufb"):
        raise UserError(f"{name}: {column} holds lists of something else than numbers; give numbers")
    dtype = (
        np.result_type(*(array.dtype for array in arrays if array.size)) if kinds else np.dtype(np.float64)
    )
    if len({array.shape for array in arrays}) == 1:
        return np.stack(arrays).astype(dtype)
    beyond = {array.shape[1:] for array in arrays if array.size}
    if len(beyond) > 1 or any(array.ndim == 0 for array in arrays):
        raise UserError(
            f"{name}: {column} holds samples that differ in more than their length; give [length, ...] each"
        )
    shape = next(iter(beyond))
    return Ragged(tuple(array.astype(dtype).reshape(len(array), *shape) for array in arrays))


def joined_arrays(parts: Sequence[Array | Ragged], column: str, name: str) -> Array | Ragged:
    """The samples of several arrays after one another; ragged where their lengths differ."""
    whole = [part for part in parts if isinstance(part, np.ndarray)]
    if len(whole) == len(parts) and len({part.shape[1:] for part in whole}) == 1:
        return np.concatenate(whole)
    return ragged_of([row for part in parts for row in _rows(part)], column, name)


def pad_inputs(inputs: Mapping[str, Array | Ragged], name: str) -> dict[str, Array]:
    """Inputs as arrays, padded with 0; where some were, with a mask beside them, unless there is one."""
    ragged = {column: found for column, found in inputs.items() if isinstance(found, Ragged)}
    done = {c: found.padded(0) if isinstance(found, Ragged) else found for c, found in inputs.items()}
    if not ragged or any(mask in inputs for mask in MASKS):
        return done
    lengths = [found.lengths for found in ragged.values()]
    if any((other != lengths[0]).any() for other in lengths[1:]):
        raise UserError(
            f"{name}: {' and '.join(ragged)} differ in their lengths within a sample; give a mask of your own"
        )
    called = MASKS[1] if "input_ids" in inputs else MASKS[0]
    mask = np.arange(lengths[0].max()) < lengths[0][:, None]
    return {**done, called: mask.astype(np.int64)}


def pad_targets(targets: Array | Ragged, column: str, name: str) -> Array:
    """Targets as an array, padded with what is left out of all figures; UserError for floats."""
    if not isinstance(targets, Ragged):
        return targets
    if targets.rows[0].dtype.kind == "f":
        raise UserError(f"{name}: {column} holds numbers of different lengths; only whole numbers are padded")
    return Ragged(tuple(row.astype(np.int64) for row in targets.rows)).padded(IGNORED)


def next_of(tokens: Array | Ragged, column: str, name: str) -> tuple[Array | Ragged, Array | Ragged]:
    """Sequences without their last token, and what comes next at each place."""
    lengths = tokens.lengths if isinstance(tokens, Ragged) else np.array(tokens.shape[1:2])
    if not len(lengths) or lengths.min() < 2:
        raise UserError(f"{name}: {column} holds sequences of fewer than 2 tokens, so none comes next")
    if isinstance(tokens, Ragged):
        return Ragged(tuple(r[:-1] for r in tokens.rows)), Ragged(tuple(r[1:] for r in tokens.rows))
    return tokens[:, :-1], tokens[:, 1:]


def _rows(part: Array | Ragged) -> Sequence[Array]:
    return part.rows if isinstance(part, Ragged) else list(part)


def _as_array(row: Any) -> Array:
    found = np.asarray(row)
    if found.dtype == object and found.ndim:  # lists in lists, as parquet gives them
        return np.array([np.asarray(inner).tolist() for inner in row])
    return found
