"""The loop of a search: ask, evaluate, store, tell; and how it goes on where a stored one stopped.

A batch is stored before the strategy is told of it. So a search that dies at any moment loses at most the
batch that it was evaluating, and a resumed one tells its strategy what the dead one had told or would have.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from widthwise.core.arrays import BoolArray, FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.evaluators.called import evaluator_of
from widthwise.evaluators.guarded import evaluate_guarded
from widthwise.evaluators.protocol import Evaluate, Evaluator, Prunes, Results
from widthwise.metrics.measurer import Measurer
from widthwise.search.allowed import check_possible
from widthwise.search.bounds import Bounds
from widthwise.search.ledger import Batch, Ending, Ledger
from widthwise.search.limits import Limits, Progress
from widthwise.search.measuring import Measuring
from widthwise.search.pruning import pruning
from widthwise.search.signals import Interrupted, StopSignals, stop_signals
from widthwise.search.target import Target
from widthwise.spaces.space import Space
from widthwise.strategies import Strategy
from widthwise.strategies.protocol import Expects
from widthwise.study.run_files import Keep
from widthwise.study.store import StudyWriter
from widthwise.study.study import Study

PROGRESS_SECONDS = 0.1  # between two reports of progress
SAVE_SECONDS = 10.0  # between two calls of `saved` while the search runs

logger = logging.getLogger(__name__)


def run_search(
    strategy: Strategy,
    evaluator: Evaluate | Evaluator,
    writer: StudyWriter,
    *,
    limits: Limits | None = None,
    keep: Keep = "all",
    batch_size: int | None = None,
    prune: bool = False,
    measurer: tuple[Measurer, Sequence[str]] | None = None,
    progress: Callable[[Progress], None] | None = None,
    saved: Callable[[Study], None] | None = None,
    expected: Callable[[IntArray, FloatArray], None] | None = None,
    target: Target | None = None,
    space: Space | None = None,
) -> Study:
    """Search until the strategy has no more, a limit is reached or a signal arrives; a stored search goes on.

    strategy: fresh, made with the seed and options of the stored search where there is one.
    evaluator: anything that is called with candidates and gives all metrics that are stored; see
    `widthwise.evaluators.called` for what else is used of it.
    writer: holds the study; its record says which metrics are stored, what the aim is, and the constraints.
    Candidates whose costs alone break a constraint are not evaluated: a strategy that can keep within bounds
    proposes none, others are told NaN. Where none is within them, the search ends at once and says so. Trials
    that break a constraint are stored and told, but are never on the front.
    target: candidates that it can't write are none either: as those that break a constraint by their costs.
    space: as whoever made it knows it, where some of its candidates are the same network as others, which are
    left out likewise; None: as it is stored.
    keep: "front" writes only trials that were on the front when they came, and counts the others.
    prune: candidates that can't reach the front any more are stopped, by evaluators that can do that (see
    `widthwise.evaluators.engine.Evaluator`); the front is the same, the strategy is told NaN for them.
    measurer: measures what the evaluator does not give, of candidates that could join the front, and the
    names of these metrics (see `widthwise.search.measuring`).
    progress is called up to ten times a second; saved, with the study so far, every few seconds and at the
    end, whatever the end is. expected is told of trials by number [k] what a strategy that expects anything
    expected of them, [k, objectives].
    Raises UserError where nothing more can be stored or the strategy fails at once (later that ends the
    search), and whatever the evaluator raises for a batch of several; what was stored is kept.
    """
    judging = evaluator_of(evaluator, writer.study.columns)
    check_possible(strategy, judging, keep=keep, prune=prune)
    limits = limits or Limits()
    ledger = Ledger(writer, limits, keep)
    bounds = Bounds(space or ledger.record.space, ledger.constraints, judging, target)
    judge: Evaluate = judging  # check_possible has refused to prune by one that can't
    if prune and isinstance(judging, Prunes):
        judge = pruning(judging, ledger.aim, ledger.front)
    if measurer is not None:
        judge = Measuring(judge, *measurer, ledger.aim, ledger.constraints, ledger.front)
    batch = limits.batch(batch_size, strategy.batch)
    search = _Search(strategy, judge, ledger, bounds, batch, expected)
    reports = _Reports(ledger, progress, saved)
    with stop_signals() as signals:
        try:
            study = search.run(signals, reports)
        except BaseException:
            reports.save(ledger.study())
            raise
        reports.save(study)
    return study


class _Reports:
    """Tells whoever wants to know how far a search is, and what it has so far, but not too often."""

    def __init__(
        self,
        ledger: Ledger,
        progress: Callable[[Progress], None] | None,
        saved: Callable[[Study], None] | None,
    ) -> None:
        self._ledger, self._progress, self._saved = ledger, progress, saved
        self._reported, self._kept = -math.inf, time.monotonic()

    def now_and_then(self) -> None:
        """Progress and the study so far, where it is time."""
        now = time.monotonic()
        if now - self._reported >= PROGRESS_SECONDS:
            self.progress()
            self._reported = now
        if self._saved is not None and now - self._kept >= SAVE_SECONDS:
            self._saved(self._ledger.study())
            self._kept = now

    def progress(self) -> None:
        """How far it is."""
        if self._progress is not None:
            self._progress(self._ledger.progress())

    def save(self, study: Study) -> None:
        """What it has now."""
        if self._saved is not None:
            self._saved(study)


@dataclass(frozen=True, eq=False)
class _Search:
    """One session. batch: how many candidates are asked for at once; expected: is told what was expected."""

    strategy: Strategy
    judge: Evaluate
    ledger: Ledger
    bounds: Bounds
    batch: int
    expected: Callable[[IntArray, FloatArray], None] | None

    def run(self, signals: StopSignals, reports: _Reports) -> Study:
        """Until the end, whatever it is."""
        ending = self._until_its_end(signals, reports)
        reports.progress()
        why = ending.reason or f"stopped by signal {ending.signal}"
        logger.info("%s; %d trials", why, self.ledger.summary.trials)
        return self.ledger.study(ending)

    def _until_its_end(self, signals: StopSignals, reports: _Reports) -> Ending:
        try:
            with signals.interruptible():
                nothing = self.bounds.keep(self.strategy)
                self.ledger.resume(self.strategy)
            ending = Ending(nothing) if nothing is not None else self._step(signals)
            while ending is None:
                reports.now_and_then()
                ending = self._step(signals)
            self.ledger.writer.finish(ending.reason)
            return ending
        except Interrupted:
            return Ending(signal=signals.received)

    def _step(self, signals: StopSignals) -> Ending | None:
        """One batch; returns why there is none."""
        if (over := self.ledger.over()) is not None:
            return Ending(over)
        wanted = self.ledger.wanted(self.batch)
        with signals.interruptible():
            try:
                candidates = self._asked(wanted)
            except UserError as error:
                return self._failed(error)
            if not len(candidates):
                return Ending(self.strategy.finished or "the strategy proposes nothing more")
            inside = self.bounds.inside(candidates)
            if self.strategy.learns and (reason := self.bounds.out_of_reach(inside)):
                if self.ledger.summary.trials:
                    return Ending(reason)
                candidates = self.bounds.starts()[:wanted]
                inside = self.bounds.inside(candidates)
            batch = self._judged(candidates, inside)
        first = self.ledger.summary.trials
        # an enumeration that is asked again proposes what was out of bounds again
        values = self.ledger.keep(batch, with_cut=self.strategy.learns)
        if self.expected is not None and isinstance(self.strategy, Expects) and inside.any():
            evaluated = candidates[inside]
            self.expected(first + np.arange(len(evaluated)), self.strategy.expected(evaluated))
        try:
            with signals.interruptible():
                self.strategy.tell(candidates, values)
        except UserError as error:
            return self._failed(error)
        return None

    def _failed(self, error: UserError) -> Ending:
        """The end of a search whose strategy fails; raises its error where there is nothing yet."""
        if not self.ledger.summary.trials:
            raise error
        return Ending(str(error), failing=True)

    def _asked(self, wanted: int) -> IntArray:
        """What the strategy proposes; where it ends without a trial, a few candidates within the bounds."""
        strategy = self.strategy
        candidates = strategy.ask(wanted)
        ended = not len(candidates) and strategy.learns and not self.ledger.summary.trials
        if ended and strategy.finished is not None:
            return self.bounds.starts()[:wanted]
        return candidates

    def _judged(self, candidates: IntArray, inside: BoolArray) -> Batch:
        """The batch with the metrics of those candidates [K, D] that are inside; they may be none."""
        record, began = self.ledger.record, time.monotonic()
        results = Results({name: np.empty(0) for name in record.columns})
        if inside.any():
            results = evaluate_guarded(
                self.judge,
                candidates[inside],
                metrics=record.columns,
                objectives=self.ledger.aim.names,
                trial_timeout=self.ledger.limits.trial_timeout,
            )
        return Batch(candidates, inside, results, time.monotonic() - began)
