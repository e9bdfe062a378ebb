"""A strategy kept within bounds that are known without an evaluation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from widthwise.space import FloatArray, IntArray, Space
from widthwise.strategies.protocol import Strategy

Allowed = Callable[[IntArray], NDArray[np.bool_]]

PATIENCE = 100_000


class Within:
    """Passes on those proposals that `allowed` ([K, D] to [K]) lets through; tells the rest as failed.

    Such candidates are never evaluated. Ends when the strategy ends, or after `patience` proposals in a
    row that were all cut (None: never; for strategies that enumerate the space, and so end by
    themselves).
    """

    def __init__(
        self,
        inner: Strategy,
        space: Space,
        allowed: Allowed,
        *,
        objectives: int,
        patience: int | None = PATIENCE,
    ) -> None:
        self.batch = inner.batch
        self.cut = 0
        self._inner = inner
        self._allowed = allowed
        self._decisions = len(space.decisions)
        self._objectives = objectives
        self._patience = patience
        self._ended: str | None = None

    @property
    def finished(self) -> str | None:
        """What the strategy says, or that nothing is within the bounds; with the number of candidates cut."""
        said = self._ended or self._inner.finished
        return f"{said}, {self.cut:,} of them outside the bounds" if said and self.cut else said

    def ask(self, n: int) -> IntArray:
        """Up to n candidates [k, D] within the bounds."""
        found: list[IntArray] = []
        wanted, in_a_row = n, 0
        while wanted > 0 and self._ended is None:
            proposed = self._inner.ask(wanted)
            if not len(proposed):
                break
            within = self._allowed(proposed)
            self._tell_cut(proposed[~within])
            found.append(proposed[within])
            wanted -= int(within.sum())
            in_a_row = 0 if within.any() else in_a_row + len(proposed)
            if self._patience is not None and in_a_row >= self._patience:
                self._ended = f"the last {in_a_row:,} candidates proposed"
        return np.concatenate(found) if found else np.empty((0, self._decisions), dtype=np.int64)

    def tell(self, candidates: IntArray, values: FloatArray) -> None:
        """Results [k, objectives] of candidates [k, D], passed on."""
        self._inner.tell(candidates, values)

    def _tell_cut(self, candidates: IntArray) -> None:
        if len(candidates):
            self.cut += len(candidates)
            self._inner.tell(candidates, np.full((len(candidates), self._objectives), np.nan))
