"""What a search has so far: its trials in the store, the front of them, the counts, and the time spent."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace

import numpy as np

from widthwise.core.arrays import BoolArray, FloatArray, IntArray
from widthwise.core.errors import UserError, unknown
from widthwise.evaluators.protocol import Results
from widthwise.search.counts import Counts
from widthwise.search.limits import Limits, Progress
from widthwise.search.resuming import resume
from widthwise.strategies import Strategy
from widthwise.study.front import FrontRows
from widthwise.study.run_files import Keep
from widthwise.study.store import Block, StudyWriter
from widthwise.study.store.records import Summary
from widthwise.study.study import Study
from widthwise.study.trials import make_trials

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ending:
    """Why a search stops: a reason, or the signal that stopped it. failing: its strategy did."""

    reason: str | None = None
    signal: int | None = None
    failing: bool = False


@dataclass(frozen=True, eq=False)
class Batch:
    """What a strategy proposed, [asked, D], which of it is inside the bounds, [asked], and its results.

    results are those of the candidates inside, in their order; seconds: how long they took.
    """

    candidates: IntArray
    inside: BoolArray
    results: Results
    seconds: float


class Ledger:
    """A study while it is searched: `front` and `counts` are always those of what is stored.

    `aim` and `constraints` are the study's. Raises UserError where they name a metric that is not stored.
    """

    def __init__(self, writer: StudyWriter, limits: Limits, keep: Keep) -> None:
        """keep: "front" writes only trials that were on the front when they came, and counts the others."""
        self.writer, self.limits, self.record = writer, limits, writer.study
        self._keep = keep
        self.aim, self.constraints = self.record.settings.aim, self.record.settings.constraints
        for name in [*self.aim.names, *(constraint.name for constraint in self.constraints)]:
            if name not in self.record.columns:
                raise unknown("metric", name, self.record.columns, where="objectives and constraints")
        self.front, self.counts = FrontRows(self.record), Counts()
        self._start, self._began = Summary(), time.monotonic()  # of this session

    @property
    def summary(self) -> Summary:
        """The counts over all sessions."""
        return self.counts.summary

    @property
    def seconds(self) -> float:
        """Spent on the study, earlier sessions included."""
        return self._start.seconds + self._here

    @property
    def _here(self) -> float:
        return time.monotonic() - self._began

    def resume(self, strategy: Strategy) -> None:
        """Go to where the stored batches end, and bring a fresh strategy there."""
        if self.writer.batches:
            resume(strategy, self.writer, self.front, self.counts)
            self.counts.forgive()
            self._start, self._began = self.summary, time.monotonic()
            logger.info("resumed after %d trials", self._start.trials)
        self.writer.finish(None)

    def over(self) -> str | None:
        """Why no further batch may begin, or None."""
        done, streak, why = self.summary.trials, self.counts.longest, self.counts.reason
        return self.limits.over(trials=done, seconds=self.seconds, failed_in_a_row=streak, last_reason=why)

    def wanted(self, batch: int) -> int:
        """Candidates to ask for: a batch, but no more than trials are left and than the time left allows."""
        summary, start, limits = self.summary, self._start, self.limits
        if limits.trials is not None:
            batch = min(batch, limits.trials - summary.trials)
        here, asked = self._here, summary.trials + summary.cut - start.trials - start.cut
        if limits.timeout is not None and asked and here > 0:
            batch = min(batch, max(1, int((limits.timeout - self.seconds) * asked / here)))
        return batch

    def keep(self, batch: Batch, *, with_cut: bool) -> FloatArray:
        """Store a batch and count it; the values [asked, objectives] of its candidates, NaN out of bounds.

        with_cut: store the candidates that were out of bounds too. Raises UserError where it can't be stored,
        and then nothing of it counts.
        """
        results, first, evaluated = batch.results, self.summary.trials, int(batch.inside.sum())
        block = Block(
            np.arange(first, first + evaluated),
            batch.candidates[batch.inside],
            np.stack([results[name] for name in self.record.columns], axis=1),
            {first + row: reason for row, reason in results.failures.items()},
        )
        cut = np.flatnonzero(~batch.inside).tolist() if with_cut else []
        elapsed = self.seconds
        with self.front.adding(block) as (values, on_front):
            self.writer.append(
                block.candidates,
                results,
                results.failures,
                seconds=batch.seconds,
                elapsed=elapsed,
                written=on_front if self._keep == "front" else None,
                asked=len(batch.candidates),
                cut={row: batch.candidates[row] for row in cut},
            )
        asked = len(batch.candidates)
        self.counts.add(asked=asked, evaluated=evaluated, failures=results.failures, seconds=elapsed)
        told = np.full((asked, values.shape[1]), np.nan)
        told[batch.inside] = values
        return told

    def study(self, ending: Ending | None = None) -> Study:
        """What was found so far; ending: None while it goes on."""
        ending = ending or Ending()
        block = self.front.block
        try:
            seconds = self.writer.store.seconds(self.record).of(block.numbers)
        except UserError:  # the store is what failed; the front is worth having all the same
            seconds = np.full(len(block.numbers), np.nan)
        allowed = self.limits.max_failures
        return Study(
            record=replace(self.record, finished=ending.reason),
            source=self.writer.store.source,
            front=tuple(make_trials(self.record, block, seconds)),
            summary=replace(self.summary, seconds=self.seconds),
            finished=ending.reason,
            interrupted=ending.signal,
            failing=ending.failing or (allowed is not None and self.counts.longest > allowed),
        )

    def progress(self) -> Progress:
        """How far it is."""
        summary, here = self.summary, self._here
        left = self.record.space.size - summary.cut
        return Progress(
            trials=summary.trials,
            total=left if self.limits.trials is None else min(self.limits.trials, left),
            failed=summary.failed,
            stopped=summary.stopped,
            cut=summary.cut,
            front=len(self.front.block.numbers),
            seconds=self.seconds,
            timeout=self.limits.timeout,
            rate=(summary.trials - self._start.trials) / here if here > 0 else 0.0,
            best=self.aim.best(self.front.values),
            metrics={objective.name: objective.metric for objective in self.aim.objectives},
        )
