"""An evaluator whose candidates are evaluated by workers, as the search sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Self

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.evaluators.called import UNKNOWN_PACE
from widthwise.evaluators.latest import Latest
from widthwise.evaluators.protocol import HasSlots, Pace, Realises, Results
from widthwise.evaluators.workers.messages import WorkerError
from widthwise.evaluators.workers.parts import Ledger, Part
from widthwise.evaluators.workers.workers import Answer, Died, Workers

if TYPE_CHECKING:
    from widthwise.network.realised import Realised
    from widthwise.spaces.slots import Slot

TELLING = ("macs", "parameters", "bops", "model_size")  # costs that tell how long training takes

CostsOf = Callable[[IntArray], Mapping[str, FloatArray]]


class ParallelEvaluator:
    """Scores batches by dividing them among workers; to be closed, or used in a `with`.

    Args:
        workers: who evaluates. metrics: names of what they give.
        costs: what is known of candidates without evaluating, which workers are not asked for; nothing by
            default.
        own: this process's evaluator of the same problem, for networks that the workers did not give back.
        pace: how long candidates take; where they are trained, what is trained at once is a part; else
            each worker has one part of a batch.
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
        own: Realises | None = None,
        pace: Pace = UNKNOWN_PACE,
        trial_timeout: float | None = None,
    ) -> None:
        self.workers, self.columns, self._costs, self.own = workers, tuple(metrics), costs, own
        self.latest = Latest()
        self.pace, self.trial_timeout = pace, trial_timeout

    @property
    def describe(self) -> str:
        """Who evaluates."""
        return f"candidates divided among {self.workers.count} workers"

    def __call__(self, candidates: IntArray) -> Results:
        """The metrics of candidates [K, D], in their order."""
        self.workers.refresh()
        self.latest.begin()
        known = self.costs(candidates)
        costs = {name: found for name, found in known.items() if name in self.columns}
        asked = [name for name in self.columns if name not in costs]
        alone = self.pace.trains or self.trial_timeout is not None
        size = -(-len(candidates) // self.workers.count)
        if alone:
            size = 1 if self.trial_timeout is not None else min(size, self.pace.at_once)
        ledger = Ledger(len(candidates), size=max(size, 1), metrics=asked)
        if alone:
            ledger.begin_with(next((known[name] for name in TELLING if name in known), None))
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
                    for realised in answer.realised:
                        self.latest.put(realised)
                self._end_late(began, ledger)
        except BaseException:
            for part in began:
                self.workers.drop(part)
            raise
        return ledger.results(costs)

    def costs(self, candidates: IntArray) -> Mapping[str, FloatArray]:
        """The cost metrics of candidates [K, D], exactly and without evaluating."""
        return self._costs(candidates) if self._costs is not None else {}

    @property
    def slots(self) -> Sequence[Slot]:
        """The formats that tensors may have, where this process's evaluator has such; else none."""
        return self.own.slots if isinstance(self.own, HasSlots) else ()

    def at_hand(self, candidate: IntArray) -> Realised | None:
        """The network of a candidate [D] as a worker trained it, or as it is had without training."""
        found = self.latest.get(candidate)
        return found if found is not None or self.own is None else self.own.at_hand(candidate)

    def realise(self, candidate: IntArray) -> Realised:
        """The same; trained again in this process where no worker did so of late. May raise UserError."""
        if (found := self.at_hand(candidate)) is not None:
            return found
        if self.own is None:
            raise UserError("the workers keep no networks; evaluate in one process to have them")
        return self.own.realise(candidate)

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
