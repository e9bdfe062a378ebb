"""An evaluator whose candidates are evaluated by workers, as the search sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Self

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.evaluators.called import UNKNOWN_PACE
from widthwise.evaluators.protocol import Pace, Results
from widthwise.evaluators.workers.messages import WorkerError
from widthwise.evaluators.workers.parts import Ledger, Part
from widthwise.evaluators.workers.workers import Answer, Died, Workers

CostsOf = Callable[[IntArray], Mapping[str, FloatArray]]


class ParallelEvaluator:
    """Scores batches by dividing them among workers; to be closed, or used in a `with`.

    Args:
        workers: who evaluates. metrics: names of what they give.
        costs: what is known of candidates without evaluating; nothing by default.
        pace: how long candidates take; where they are trained each is a part of its own, else each worker has
            one part of a batch.
        trial_timeout: seconds for one candidate, whose worker is killed when they are over.

    A candidate that raises, or over which workers die repeatedly, fails alone. The results are those of one
    process, whichever worker had a candidate.
    """

    def __init__(
        self,
        workers: Workers,
        *,
        metrics: Sequence[str],
        costs: CostsOf | None = None,
        pace: Pace = UNKNOWN_PACE,
        trial_timeout: float | None = None,
    ) -> None:
        self.workers, self.columns, self._costs = workers, tuple(metrics), costs
        self.pace, self.trial_timeout = pace, trial_timeout

    @property
    def describe(self) -> str:
        """Who evaluates."""
        return f"candidates divided among {self.workers.count} workers"

    def __call__(self, candidates: IntArray) -> Results:
        """The metrics of candidates [K, D], in their order."""
        self.workers.refresh()
        alone = self.pace.trains or self.trial_timeout is not None
        size = 1 if alone else -(-len(candidates) // self.workers.count)
        ledger = Ledger(len(candidates), size=max(size, 1), metrics=self.columns)
        began: dict[Part, float] = {}
        try:
            while ledger.left:
                while ledger.waiting and self.workers.give(
                    ledger.waiting[0], candidates[ledger.waiting[0].rows]
                ):
                    began[ledger.waiting.popleft()] = time.monotonic()
                for answer in self.workers.wait(self._patience(began)):
                    del began[answer.part]
                    _enter(answer, ledger)
                self._end_late(began, ledger)
        except BaseException:
            for part in began:
                self.workers.drop(part)
            raise
        return ledger.results(self.costs(candidates))

    def costs(self, candidates: IntArray) -> Mapping[str, FloatArray]:
        """The cost metrics of candidates [K, D], exactly and without evaluating."""
        return self._costs(candidates) if self._costs is not None else {}

    def close(self) -> None:
        """End the workers."""
        self.workers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _patience(self, began: Mapping[Part, float]) -> float | None:
        """Seconds until the next candidate has taken too long."""
        if self.trial_timeout is None or not began:
            return None
        return max(min(began.values()) + self.trial_timeout - time.monotonic(), 0.0)

    def _end_late(self, began: dict[Part, float], ledger: Ledger) -> None:
        if self.trial_timeout is None:
            return
        now = time.monotonic()
        for part in [part for part, start in began.items() if now - start >= self.trial_timeout]:
            del began[part]
            self.workers.drop(part)
            ledger.failed(part, f"ran past its {self.trial_timeout:g} s")


def _enter(answer: Answer, ledger: Ledger) -> None:
    """Enter what became of a part; a UserError about several candidates is about all of the search."""
    match answer.outcome:
        case Results():
            ledger.done(answer.part, answer.outcome)
        case Died(reason):
            ledger.lost(answer.part, reason)
        case WorkerError() as error:
            if error.by_user and len(answer.part) > 1:
                raise UserError(error.text)
            ledger.raised(answer.part, error.text)
