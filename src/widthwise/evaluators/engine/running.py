"""A batch of candidates while the data goes by: whose figures are still added to, and margins of samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from torch import Tensor

from widthwise.core.arrays import BoolArray, FloatArray, IntArray
from widthwise.metrics.quality.follows import Told
from widthwise.metrics.quality.task import Tally


class Adds(Protocol):
    """What takes in the outputs of candidates, block by block."""

    @property
    def failures(self) -> dict[int, str]:
        """Row to the reason."""
        ...

    def add(self, rows: IntArray, outputs: Tensor, versions: IntArray, targets: Tensor) -> None:
        """Outputs [V, n, ...] for targets [n, ...]: those of the rows [R'], each with its version."""
        ...


class Running:
    """R candidates and their tally; some fail, and some are stopped early."""

    def __init__(self, tally: Tally, rows: int) -> None:
        self.tally = tally
        self.pruned = np.zeros(rows, dtype=bool)
        self.samples = 0  # that have gone by

    @property
    def active(self) -> IntArray:
        """The candidates that have neither failed nor been stopped."""
        return np.flatnonzero(~self._ended)

    @property
    def _ended(self) -> BoolArray:
        ended = self.pruned.copy()
        ended[list(self.tally.failures)] = True
        return ended

    def prune(self, rows: BoolArray) -> None:
        """Stops these of the candidates [R]: the rest of the data is not for them."""
        self.pruned |= rows & ~self._ended

    def values(self, metrics: Sequence[str]) -> dict[str, FloatArray]:
        """The figures [R], NaN for candidates that failed or were stopped."""
        return self.tally.values(metrics, self.active if self.pruned.any() else None)


class Outputs:
    """The outputs of R candidates, block by block, on the CPU; of those that failed some are missing."""

    def __init__(self, rows: int) -> None:
        self.failures: dict[int, str] = {}
        self.kept: list[list[Tensor]] = [[] for _ in range(rows)]

    def add(self, rows: IntArray, outputs: Tensor, versions: IntArray, targets: Tensor) -> None:
        """Those of outputs [V, n, ...]: of the rows [R'], each with its version."""
        del targets
        for row, version in zip(rows.tolist(), versions.tolist(), strict=True):
            # a copy: the engine computes the next values in place of these
            self.kept[row].append(outputs[version].detach().cpu().clone())


class SampleMargins:
    """What is told of the n samples of one block of R candidates, [R, n width] float32; NaN: they failed."""

    def __init__(self, rows: int, samples: int, told: Told) -> None:
        values = samples * sum(told.widths)
        self.margins: FloatArray = np.full((rows, values), np.nan, dtype=np.float32)
        self.failures: dict[int, str] = {}
        self._told = told

    def add(self, rows: IntArray, outputs: Tensor, versions: IntArray, targets: Tensor) -> None:
        """Those of outputs [V, n, ...] for targets [n, ...]: of the rows [R'], each with its version."""
        self.margins[rows] = self._told.values(outputs, targets).cpu().numpy()[versions]
