"""Bringing a fresh strategy, the front and the counts to where the stored batches of a study end."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.search.counts import Counts
from widthwise.strategies import Strategy
from widthwise.study.front import FrontRows
from widthwise.study.store import StoredBatch, StudyWriter


def resume(strategy: Strategy, writer: StudyWriter, front: FrontRows, counts: Counts) -> None:
    """Read the study once, and take each batch into the front, the counts and the strategy.

    Raises UserError where an enumeration does not propose again what is stored.
    """
    stored = _stored(writer, front, counts)
    if strategy.learns:
        strategy.replay((candidates, values) for _, candidates, values in stored)
    else:
        for batch, _, _ in stored:
            _ask_again(strategy, batch)
    for _ in stored:  # a strategy need not read to the end
        pass


def _stored(
    writer: StudyWriter, front: FrontRows, counts: Counts
) -> Iterator[tuple[StoredBatch, IntArray, FloatArray]]:
    """The batches with what the strategy was told: candidates [asked, D] and values [asked, objectives]."""
    for batch in writer.store.batches(writer.study):
        values, _ = front.add(batch.trials)
        failures = {number - batch.first: reason for number, reason in batch.trials.reasons.items()}
        counts.add(asked=batch.asked, evaluated=batch.evaluated, failures=failures, seconds=batch.elapsed)
        yield batch, *_told(batch, values)


def _told(batch: StoredBatch, values: FloatArray) -> tuple[IntArray, FloatArray]:
    if not batch.cut:
        return batch.trials.candidates, values
    candidates = np.empty((batch.asked, batch.trials.candidates.shape[1]), dtype=np.int64)
    told = np.full((batch.asked, values.shape[1]), np.nan)
    evaluated = np.ones(batch.asked, dtype=bool)
    for row, candidate in batch.cut.items():
        candidates[row], evaluated[row] = candidate, False
    candidates[evaluated], told[evaluated] = batch.trials.candidates, values
    return candidates, told


def _ask_again(strategy: Strategy, batch: StoredBatch) -> None:
    """Enumerations learn nothing, so they are only asked; what is stored must be among what they propose."""
    asked = strategy.ask(batch.asked)
    stored = batch.trials.candidates
    if len(asked) == batch.evaluated == len(stored):
        same = np.array_equal(asked, stored)
    else:
        known = {row.tobytes() for row in asked}
        same = len(asked) == batch.asked and all(row.tobytes() in known for row in stored)
    if not same:
        raise UserError(
            f"trials from {batch.first} on are not what the strategy proposes; resume with the same space and"
            " options, or start a new study beside it (--force-new)"
        )
