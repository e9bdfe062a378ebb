"""One block of data for a batch of candidates: together by the plan, a few of them one by one."""

from __future__ import annotations

import logging

import numpy as np
from torch import Tensor

from widthwise.core.arrays import IntArray
from widthwise.core.importing import describe_error
from widthwise.data.blocks import DataBlock
from widthwise.evaluators.engine.prepared import Prepared
from widthwise.evaluators.engine.rerun import Rerun
from widthwise.evaluators.engine.running import Adds
from widthwise.evaluators.engine.threads import threads_for
from widthwise.evaluators.engine.turns import in_turns
from widthwise.evaluators.engine.walk import Count, walk

FEW = 8  # up to here candidates are evaluated one by one with the memo

logger = logging.getLogger(__name__)


def add_block(
    prepared: Prepared,
    into: Adds,
    rows: IntArray,
    chosen: IntArray,
    number: int,
    block: DataBlock,
    *,
    count: Count,
) -> None:
    """Adds what the rows [R'] of the formats chosen [R, S] give for one block.

    Those that can't go together go by halves. In the end each of the few that are to blame tells its reason.
    """
    sharing = prepared.sharing
    if sharing is None or len(rows) == 1 or (sharing.shares.kept is None and len(rows) <= FEW):
        _one_by_one(prepared, into, rows, chosen, number, block)
        return
    done = np.zeros(len(chosen), dtype=bool)

    def consume(part: IntArray, outputs: Tensor, versions: IntArray) -> None:
        into.add(rows[part], outputs, versions, block.targets)
        done[rows[part]] = True

    plan, shares, inputs = sharing.plan, sharing.shares, tuple(block.inputs.values())
    try:
        if shares.kept is None:
            walk(plan, inputs, chosen[rows], consume, stack_bytes=shares.stack, count=count)
        else:
            in_turns(plan, inputs, chosen[rows], consume, kept_bytes=shares.kept, count=count)
    except Exception as error:
        logger.info("%d candidates can't be evaluated together: %s", len(rows), describe_error(error))
        left = rows[~done[rows]]
        for half in (left[: len(left) // 2], left[len(left) // 2 :]):
            add_block(prepared, into, half, chosen, number, block, count=count)


def _one_by_one(
    prepared: Prepared, into: Adds, rows: IntArray, chosen: IntArray, number: int, block: DataBlock
) -> None:
    single = prepared.single
    with threads_for(prepared.widest * len(block)):
        if isinstance(single, Rerun):
            _rerun(single, into, rows, chosen, number, block)
            return
        for row in rows:
            try:
                outputs = single.outputs(number, block.inputs, chosen[row])
                into.add(np.array([row]), outputs, np.zeros(1, dtype=np.int64), block.targets)
            except Exception as error:
                into.failures[int(row)] = describe_error(error)


def _rerun(
    single: Rerun, into: Adds, rows: IntArray, chosen: IntArray, number: int, block: DataBlock
) -> None:
    """Candidates with a common prefix one after the other, so that little has to be kept at a time."""
    ordered = rows[np.lexsort(chosen[rows].T[::-1])] if chosen.shape[1] else rows
    for place, row in enumerate(ordered):
        later = chosen[ordered[place + 1 :]] if len(ordered) > 1 else None
        try:
            outputs = single.outputs(number, block.inputs, chosen[row], later)
            into.add(np.array([row]), outputs, np.zeros(1, dtype=np.int64), block.targets)
            del outputs  # before the next: of language models they are the largest thing there is
        except Exception as error:
            into.failures[int(row)] = describe_error(error)
