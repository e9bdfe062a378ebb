"""The front of a study, a block of trials at a time."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.searches import METRICS, SPACE, Evaluator, make_record
from widthwise.study.front import FrontRows
from widthwise.study.store import Block


def _block(positions: range) -> Block:
    candidates = SPACE.at(list(positions))
    results = Evaluator()(candidates)
    columns = np.stack([results[name] for name in METRICS], axis=1)
    return Block(np.array(positions), candidates, columns, {})


def _state(front: FrontRows) -> tuple[list[int], list[list[float]], list[list[float]]]:
    return front.block.numbers.tolist(), front.block.metrics.tolist(), front.values.tolist()


def _fail_to_keep(front: FrontRows, block: Block) -> None:
    before = _state(front)
    with front.adding(block):
        assert _state(front) != before
        raise OSError("disk is full")


def test_what_fails_to_be_kept_leaves_no_trace_on_the_front():
    """What comes later is on the front as if the block that failed had never been there."""
    front, untouched = FrontRows(make_record()), FrontRows(make_record())
    for rows in (front, untouched):
        rows.add(_block(range(100)))
    before = _state(front)
    with pytest.raises(OSError, match="disk is full"):
        _fail_to_keep(front, _block(range(400, 500)))
    assert _state(front) == before
    with front.adding(_block(range(100, 300))) as (values, on_front):
        pass
    expected, expected_on_front = untouched.add(_block(range(100, 300)))
    assert (values == expected).all()
    assert (on_front == expected_on_front).all()
    assert _state(front) == _state(untouched)
