"""A batch cut into parts: which wait, which are done, and what becomes of a part whose worker died."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import UserError
from widthwise.evaluators.protocol import Results

DEATHS = 3  # workers that may die over one candidate before it is taken to be the cause


@dataclass(frozen=True)
class Part:
    """Rows start to stop of a batch; deaths: workers that died while they had these rows."""

    start: int
    stop: int
    deaths: int = 0

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def rows(self) -> slice:
        """The rows of the batch."""
        return slice(self.start, self.stop)

    def halves(self, deaths: int) -> tuple[Part, Part]:
        """The same rows in two."""
        middle = (self.start + self.stop) // 2
        return Part(self.start, middle, deaths), Part(middle, self.stop, deaths)


class Ledger:
    """The parts of one batch of so many candidates, and their results as they come, in any order.

    A part whose worker died is done again by another, in halves where it can be, so that a candidate that
    kills its worker is soon alone; then it fails after DEATHS deaths, and only it.
    """

    def __init__(self, count: int, *, size: int, metrics: Sequence[str]) -> None:
        self.waiting = deque(Part(start, min(start + size, count)) for start in range(0, count, size))
        self.left = count
        self._metrics = {name: np.full(count, np.nan) for name in metrics}
        self._failures: dict[int, str] = {}
        self._pruned: set[int] = set()
        self._notes: dict[int, tuple[str, ...]] = {}

    def begin_with(self, sizes: FloatArray | None) -> None:
        """Have the greatest parts by the sizes [K] wait first, so that none ends long after the others.

        Source: Graham 1969, "Bounds on multiprocessing timing anomalies" (LPT).
        """
        if sizes is not None:
            self.waiting = deque(sorted(self.waiting, key=lambda part: -float(sizes[part.rows].sum())))

    def done(self, part: Part, results: Results) -> None:
        """The results of a part; raises UserError where they have no such metric or another shape."""
        for name, values in self._metrics.items():
            if name not in results or results[name].shape != (len(part),):
                raise UserError(f"the evaluator gave no {name} for each of {len(part)} candidates")
            values[part.rows] = results[name]
        self._failures |= {part.start + row: reason for row, reason in results.failures.items()}
        self._pruned |= {part.start + row for row in results.pruned}
        self._notes |= {part.start + row: lines for row, lines in results.notes.items()}
        self.left -= len(part)

    def lost(self, part: Part, reason: str) -> None:
        """The worker that had this part died."""
        deaths = part.deaths + 1
        if len(part) > 1:
            self.waiting.extendleft(reversed(part.halves(deaths)))
        elif deaths < DEATHS:
            self.waiting.appendleft(Part(part.start, part.stop, deaths))
        else:
            self.failed(part, f"{deaths} worker processes died over it; the last {reason}")

    def raised(self, part: Part, reason: str) -> None:
        """Evaluating the part raised: one candidate fails, of several each half is tried."""
        if len(part) > 1:
            self.waiting.extendleft(reversed(part.halves(part.deaths)))
        else:
            self.failed(part, reason)

    def failed(self, part: Part, reason: str) -> None:
        """All candidates of the part fail."""
        self._failures |= dict.fromkeys(range(part.start, part.stop), reason)
        self.left -= len(part)

    def results(self, costs: Mapping[str, FloatArray]) -> Results:
        """All rows in order, once nothing is left, with what is known of all of them exactly [K]."""
        columns = {**self._metrics, **costs}
        failures, notes = dict(sorted(self._failures.items())), dict(sorted(self._notes.items()))
        return Results(columns, failures, frozenset(self._pruned), notes=notes)
