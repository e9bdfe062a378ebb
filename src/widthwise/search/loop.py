"""The loop of a search: ask, evaluate_guarded, store, tell; and how it goes on where a stored one stopped.

A batch is stored before the strategy is told of it. So a search that dies at any moment loses at most the
batch that it was evaluating, and a resumed one tells its strategy what the dead one had told or would have.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from widthwise.core.arrays import BoolArray, FloatArray, IntArray
from widthwise.core.errors import UserError, unknown
from widthwise.evaluators.guarded import evaluate_guarded
from widthwise.evaluators.protocol import Evaluate, Prunes, Results
from widthwise.metrics.goals.aim import Aim
from widthwise.search.allowed import Keep, check_possible
from widthwise.search.bounds import Bounds
from widthwise.search.counts import Counts
from widthwise.search.limits import Limits, Progress
from widthwise.search.pruning import pruning
from widthwise.search.resuming import resume
from widthwise.search.signals import Interrupted, StopSignals, stop_signals
from widthwise.strategies import Strategy
from widthwise.study.front import FrontRows, constraints_of
from widthwise.study.store import Block, StudyWriter
from widthwise.study.study import Study
from widthwise.study.trials import make_trials

PROGRESS_SECONDS = 0.1  # between two reports of progress
SAVE_SECONDS = 10.0  # between two calls of `saved` while the search runs

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Callbacks:
    """Who is told while a search runs."""

    progress: Callable[[Progress], None] | None = None
    saved: Callable[[Study], None] | None = None


def run_search(
    strategy: Strategy,
    evaluator: Evaluate,
    writer: StudyWriter,
    *,
    limits: Limits | None = None,
    keep: Keep = "all",
    batch_size: int | None = None,
    prune: bool = False,
    progress: Callable[[Progress], None] | None = None,
    saved: Callable[[Study], None] | None = None,
) -> Study:
    """Search until the strategy has no more, a limit is reached or a signal arrives; a stored search goes on.

    strategy: fresh, made with the seed and options of the stored search where there is one.
    writer: holds the study; its record says which metrics are stored, what the aim is, and the constraints.
    Candidates whose costs alone break a constraint are not evaluated: a strategy that can keep within bounds
    proposes none, others are told NaN. Where none is within them, the search ends at once and says so. Trials
    that break a constraint are stored and told, but are never on the front.
    keep: "front" writes only trials that were on the front when they came, and counts the others.
    prune: candidates that can't reach the front any more are stopped, by evaluators that can do that (see
    `widthwise.evaluators.engine.Evaluator`); the front is the same, the strategy is told NaN for them.
    progress is called up to ten times a second; saved, with the study so far, every few seconds and at the
    end, whatever the end is.
    Raises UserError where nothing more can be stored or the strategy fails at once (later that ends the
    search), and whatever the evaluator raises for a batch of several; what was stored is kept.
    """
    check_possible(strategy, evaluator, keep=keep, prune=prune)
    search = _Search(strategy, evaluator, writer, limits or Limits(), keep)
    if prune:
        assert isinstance(evaluator, Prunes)  # check_possible saw to it
        search.judge = pruning(evaluator, search.aim, search.front)
    search.batch = search.limits.batch(batch_size, strategy.batch)
    with stop_signals() as signals:
        try:
            study = search.run(signals, Callbacks(progress, saved))
        except BaseException:
            if saved is not None:
                saved(search.study())
            raise
        if saved is not None:
            saved(study)
    return study


class _Search:
    """One session: its parts, the front so far, the counts, and the clock."""

    def __init__(
        self,
        strategy: Strategy,
        evaluator: Evaluate,
        writer: StudyWriter,
        limits: Limits,
        keep: Keep,
    ) -> None:
        self.strategy, self.evaluator, self.writer = strategy, evaluator, writer
        self.limits, self.keep = limits, keep
        self.batch = 1
        self.judge = evaluator
        self.record = writer.study
        self.aim = Aim.from_json(self.record.settings["aim"])
        self.constraints = constraints_of(self.record)
        self.bounds = Bounds(self.record.space, self.constraints, evaluator)
        for name in [*self.aim.names, *(constraint.metric for constraint in self.constraints)]:
            if name not in self.record.metrics:
                raise unknown("metric", name, self.record.metrics, where="objectives and constraints")
        self.enumerates = not strategy.learns
        self.front, self.counts = FrontRows(self.record), Counts()
        self.failed = False  # the strategy
        self.began = time.monotonic()
        self.before = 0.0  # seconds of earlier sessions
        self.resumed_at = 0  # trials of earlier sessions
        self.asked_before = 0  # candidates asked for in earlier sessions

    @property
    def seconds(self) -> float:
        """Spent on the study, earlier sessions included."""
        return self.before + time.monotonic() - self.began

    def run(self, signals: StopSignals, callbacks: Callbacks) -> Study:
        """Until the end, whatever it is."""
        reason = None
        reported, kept = -math.inf, time.monotonic()
        try:
            with signals.interruptible():
                reason = self.bounds.keep(self.strategy)
                self.resume()
            while reason is None and (reason := self.over() or self.step(signals)) is None:
                now = time.monotonic()
                if callbacks.progress is not None and now - reported >= PROGRESS_SECONDS:
                    callbacks.progress(self.progress())
                    reported = now
                if callbacks.saved is not None and now - kept >= SAVE_SECONDS:
                    callbacks.saved(self.study())
                    kept = now
            self.writer.finish(reason)
        except Interrupted:
            reason = None
        if callbacks.progress is not None:
            callbacks.progress(self.progress())
        ended = reason or f"stopped by signal {signals.received}"
        logger.info("%s; %d trials", ended, self.counts.summary.trials)
        return self.study(reason, signals.received if reason is None else None)

    def resume(self) -> None:
        """Go to where the stored batches end."""
        if self.writer.batches:
            resume(self.strategy, self.writer, self.front, self.counts)
            self.counts.forgive()
            self.before, self.began = self.counts.summary.seconds, time.monotonic()
            self.resumed_at = self.counts.summary.trials
            self.asked_before = self.resumed_at + self.counts.summary.cut
            logger.info("resumed after %d trials", self.resumed_at)
        self.writer.finish(None)

    def over(self) -> str | None:
        """Why no further batch may begin, or None."""
        done, streak, why = self.counts.summary.trials, self.counts.longest, self.counts.reason
        return self.limits.over(trials=done, seconds=self.seconds, failed_in_a_row=streak, last_reason=why)

    def step(self, signals: StopSignals) -> str | None:
        """One batch; returns why there is none."""
        wanted = self.wanted()
        with signals.interruptible():
            try:
                candidates = self.ask(wanted)
            except UserError as error:
                return self.fail(error)
            if not len(candidates):
                return self.strategy.finished or "the strategy proposes nothing more"
            inside = self.bounds.inside(candidates)
            if not self.enumerates and (reason := self.bounds.out_of_reach(inside)):
                if self.counts.summary.trials:
                    return reason
                candidates = self.bounds.starts()[:wanted]
                inside = self.bounds.inside(candidates)
            began = time.monotonic()
            results = self.judge_batch(candidates[inside])
            seconds = time.monotonic() - began
        values = np.full((len(candidates), len(self.aim.directions)), np.nan)
        values[inside] = self.keep_batch(candidates, inside, results, seconds)
        try:
            with signals.interruptible():
                self.strategy.tell(candidates, values)
        except UserError as error:
            return self.fail(error)
        return None

    def fail(self, error: UserError) -> str:
        """Why the search ends with what it has; raises the strategy's error where it has nothing."""
        if not self.counts.summary.trials:
            raise error
        self.failed = True
        return str(error)

    def wanted(self) -> int:
        """Candidates to ask for: a batch, but no more than trials are left and than the time left allows."""
        summary, limits, wanted = self.counts.summary, self.limits, self.batch
        if limits.trials is not None:
            wanted = min(wanted, limits.trials - summary.trials)
        here, asked = time.monotonic() - self.began, summary.trials + summary.cut - self.asked_before
        if limits.timeout is not None and asked and here > 0:
            wanted = min(wanted, max(1, int((limits.timeout - self.seconds) * asked / here)))
        return wanted

    def ask(self, wanted: int) -> IntArray:
        """What the strategy proposes; where it ends without a trial, a few candidates within the bounds."""
        candidates = self.strategy.ask(wanted)
        if len(candidates) or self.enumerates or self.counts.summary.trials or self.strategy.finished is None:
            return candidates
        return self.bounds.starts()[:wanted]

    def judge_batch(self, candidates: IntArray) -> Results:
        """The metrics of candidates [K, D], of none too."""
        if not len(candidates):
            return Results({name: np.empty(0) for name in self.record.metrics})
        return evaluate_guarded(
            self.judge,
            candidates,
            metrics=self.record.metrics,
            objectives=self.aim.names,
            trial_timeout=self.limits.trial_timeout,
        )

    def keep_batch(
        self, candidates: IntArray, inside: BoolArray, results: Results, seconds: float
    ) -> FloatArray:
        """Store a batch and count it; the values [evaluated, objectives] of its trials."""
        first, evaluated = self.counts.summary.trials, int(inside.sum())
        block = Block(
            np.arange(first, first + evaluated),
            candidates[inside],
            np.stack([results.metrics[name] for name in self.record.metrics], axis=1),
            {first + row: reason for row, reason in results.failures.items()},
        )
        front_before = self.front.block
        values, on_front = self.front.add(block)
        out = [] if self.enumerates else np.flatnonzero(~inside).tolist()
        elapsed = self.seconds
        try:
            self.writer.append(
                block.candidates,
                results.metrics,
                results.failures,
                seconds=seconds,
                elapsed=elapsed,
                written=on_front if self.keep == "front" else None,
                asked=len(candidates),
                cut={row: candidates[row] for row in out},
            )
        except BaseException:
            self.front.block = front_before  # what isn't stored was not found
            raise
        self.counts.add(
            asked=len(candidates), evaluated=evaluated, failures=results.failures, seconds=elapsed
        )
        return values

    def study(self, reason: str | None = None, interrupted: int | None = None) -> Study:
        """What was found so far."""
        block = self.front.block
        try:
            seconds = self.writer.store.seconds(self.record).of(block.numbers)
        except UserError:  # the store is what failed; the front is worth having all the same
            seconds = np.full(len(block.numbers), np.nan)
        allowed = self.limits.max_failures
        return Study(
            record=replace(self.record, finished=reason),
            source=self.writer.store.source,
            front=tuple(make_trials(self.record, block, seconds)),
            summary=replace(self.counts.summary, seconds=self.seconds),
            finished=reason,
            interrupted=interrupted,
            failing=self.failed or (allowed is not None and self.counts.longest > allowed),
        )

    def progress(self) -> Progress:
        """How far it is."""
        summary = self.counts.summary
        here, left = time.monotonic() - self.began, self.record.space.size - summary.cut
        return Progress(
            trials=summary.trials,
            total=left if self.limits.trials is None else min(self.limits.trials, left),
            failed=summary.failed,
            cut=summary.cut,
            front=len(self.front.block.numbers),
            seconds=self.seconds,
            timeout=self.limits.timeout,
            rate=(summary.trials - self.resumed_at) / here if here > 0 else 0.0,
            best=self.aim.best(self.front.values),
        )
