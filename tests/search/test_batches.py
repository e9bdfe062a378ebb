"""How great batches are follows from how long candidates take, and from who evaluates them."""

from __future__ import annotations

import pytest

from widthwise.evaluators.protocol import Pace
from widthwise.search.batches import batch_size

QUICK, SLOW = Pace(trains=False, affordable=1000), Pace(trains=False, affordable=3)
TRAINED, HALVED = Pace(trains=True, affordable=1), Pace(trains=True, affordable=1, together=9)
STACKED = Pace(trains=True, affordable=16, at_once=16)


@pytest.mark.parametrize(
    ("pace", "how", "expected"),
    [
        (QUICK, {"enumerated": True}, 1000),
        (QUICK, {"enumerated": False, "natural": 50}, 50),
        (SLOW, {"enumerated": False, "natural": 50}, 3),
        (SLOW, {"enumerated": False, "natural": 50, "workers": 4}, 12),
        (QUICK, {"enumerated": False, "natural": 50, "workers": 4}, 50),
        (QUICK, {"enumerated": False, "natural": 1, "workers": 4}, 4),
        (QUICK, {"enumerated": True, "prune": True}, 200),
        (TRAINED, {"enumerated": True}, 1),
        (TRAINED, {"enumerated": True, "workers": 3}, 12),
        (TRAINED, {"enumerated": False, "workers": 3, "natural": 50}, 3),
        (HALVED, {"enumerated": False, "natural": 50}, 9),
        (STACKED, {"enumerated": True}, 16),
        (STACKED, {"enumerated": False, "natural": 50}, 16),
        (STACKED, {"enumerated": False, "natural": 5}, 5),
        (STACKED, {"enumerated": False, "natural": 50, "workers": 2}, 32),
    ],
)
def test_batches(pace: Pace, how: dict, expected: int):
    assert batch_size(pace, 6400, **how) == expected


def test_no_more_are_compared_than_there_are():
    assert batch_size(HALVED, 4, enumerated=True) == 4
