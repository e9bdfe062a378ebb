"""Margins of candidates from the very run that scored them, kept until they are asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.evaluators.engine.running import Adds, SampleMargins

MOST_BYTES = 64 * 2**20  # of margins that nobody asked for yet: the oldest are given up


class Answered:
    """Margins [samples] by formats [S]."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, FloatArray] = OrderedDict()
        self._bytes = 0

    def keep(self, chosen: IntArray, parts: Sequence[SampleMargins]) -> None:
        """Margins of the formats chosen [K, S], block by block."""
        margins = np.concatenate([part.margins for part in parts], axis=1)
        for formats, one in zip(chosen, margins, strict=True):
            self._forget(formats.tobytes())
            self._kept[formats.tobytes()] = one
            self._bytes += one.nbytes
        while self._bytes > MOST_BYTES:
            self._forget(next(iter(self._kept)))

    def take(self, chosen: IntArray) -> FloatArray | None:
        """Margins [K, samples] of the formats chosen [K, S], then forgotten; None where not all are known."""
        keys = [formats.tobytes() for formats in chosen]
        if not keys or not all(key in self._kept for key in keys):
            return None
        found = np.array([self._kept[key] for key in keys])
        for key in keys:
            self._forget(key)
        return found

    def _forget(self, key: bytes) -> None:
        if (found := self._kept.pop(key, None)) is not None:
            self._bytes -= found.nbytes


class Both:
    """Adds to figures and to margins alike; what fails does so in the figures."""

    def __init__(self, figures: Adds, margins: SampleMargins) -> None:
        self._figures, self._margins = figures, margins

    @property
    def failures(self) -> dict[int, str]:
        """Row to the reason."""
        return self._figures.failures

    def add(self, rows: IntArray, outputs: Tensor, versions: IntArray, targets: Tensor) -> None:
        """Outputs [V, n, ...] for targets [n, ...]: those of the rows [R'], each with its version."""
        self._figures.add(rows, outputs, versions, targets)
        self._margins.add(rows, outputs, versions, targets)
