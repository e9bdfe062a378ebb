"""Bringing a fresh strategy, the front and the counts to where the stored batches of a study end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.search.counts import Counts
from widthwise.strategies import Strategy
from widthwise.study.front import FrontRows
from widthwise.study.store import StoredBatch, StoredBatches, StudyWriter


def resume(
    strategy: Strategy,
    writer: StudyWriter,
    front: FrontRows,
    counts: Counts,
    progress: Callable[[], None] | None = None,
) -> None:
    """Read the study once, many batches at a time, and take all into the front, the counts and the strategy.

    progress: called as the counts grow. Raises UserError where an enumeration does not propose again what is
    stored.
    """
    stored = _stored(writer, front, counts, progress or _silent)
    if strategy.learns:
        strategy.replay(told for group, values in stored for told in _told(group, values))
    else:
        for group, _ in stored:
            _ask_again(strategy, group)
    for _ in stored:  # a strategy need not read to the end
        pass


def _silent() -> None:
    """Nobody wants to know."""


def _stored(
    writer: StudyWriter, front: FrontRows, counts: Counts, progress: Callable[[], None]
) -> Iterator[tuple[StoredBatches, FloatArray]]:
    """Batches, many at a time, with the values [k, objectives] of their trials."""
    for group in writer.store.groups(writer.study):
        values, _ = front.add(group.trials)
        reasons = group.trials.reasons
        failed = sorted(reasons)
        at = 0
        for batch in group.batches:
            failures = {}
            while at < len(failed) and failed[at] < batch.first + batch.evaluated:
                failures[failed[at] - batch.first] = reasons[failed[at]]
                at += 1
            counts.add(asked=batch.asked, evaluated=batch.evaluated, failures=failures, seconds=batch.elapsed)
        progress()
        yield group, values


def _told(group: StoredBatches, values: FloatArray) -> Iterator[tuple[IntArray, FloatArray]]:
    """What the strategy was told of each batch: candidates [asked, D] and values [asked, objectives]."""
    for batch in group.batches:
        low, high = group.trials.numbers.searchsorted([batch.first, batch.first + batch.evaluated])
        yield _with_cut(batch, group.trials.candidates[low:high], values[low:high])


def _with_cut(batch: StoredBatch, candidates: IntArray, values: FloatArray) -> tuple[IntArray, FloatArray]:
    if not batch.cut:
        return candidates, values
    proposed = np.empty((batch.asked, candidates.shape[1]), dtype=np.int64)
    told = np.full((batch.asked, values.shape[1]), np.nan)
    evaluated = np.ones(batch.asked, dtype=bool)
    for row, candidate in batch.cut.items():
        proposed[row], evaluated[row] = candidate, False
    proposed[evaluated], told[evaluated] = candidates, values
    return proposed, told


def _ask_again(strategy: Strategy, group: StoredBatches) -> None:
    """Enumerations learn nothing, so they are only asked; what is stored must be among what they propose."""
    wanted = sum(batch.asked for batch in group.batches)
    asked, stored = strategy.ask(wanted), group.trials.candidates
    if len(asked) == len(stored):
        same = np.array_equal(asked, stored)
    else:
        known = {row.tobytes() for row in asked}
        same = len(asked) == wanted and all(row.tobytes() in known for row in stored)
    if not same:
        raise UserError(
            f"trials from {group.batches[0].first} on are not what the strategy proposes; resume with the "
            "same space and options, or start a new study beside it (--force-new)"
        )
