"""The arrays that all rooms pass to one another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


FloatArray = NDArray[np.float64]


BoolArray = NDArray[np.bool_]


def distinct_rows(table: IntArray) -> tuple[list[int], IntArray]:
    """The first row of each kind of rows in a table [K, C], and of which kind each row is [K]."""
    if not len(table) or not table.shape[1]:
        return [0] * bool(len(table)), np.zeros(len(table), dtype=np.int64)
    counts = table.max(axis=0) + 1
    if float(np.prod(counts, dtype=np.float64)) < 2**62:
        keys = np.ravel_multi_index(tuple(table.T), tuple(counts.tolist()))
        _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    else:
        _, first, which = np.unique(table, axis=0, return_index=True, return_inverse=True)
    return first.tolist(), which.reshape(-1)
