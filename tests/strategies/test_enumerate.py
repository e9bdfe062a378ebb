"""Brute force and grid: order, what a grid takes, and that nothing grows with the space."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest

from widthwise.spaces.space import Decision, Space
from widthwise.strategies import strategy

SPACE = Space((Decision("a", (1, 2, 3)), Decision("b", ("x", "y")), Decision("c", tuple(range(5)))))
OBJECTIVES = {"accuracy": "maximize"}


def everything(made, batch=7):
    parts = []
    while len(candidates := made.ask(batch)):
        parts.append(candidates)
        made.tell(candidates, np.zeros((len(candidates), 1)))
    return [tuple(row) for row in np.concatenate(parts).tolist()]


@pytest.mark.parametrize("name", ["brute-force", "grid"])
def test_everything_comes_in_the_order_of_the_space(name):
    made = strategy(name, SPACE, objectives=OBJECTIVES)
    assert everything(made) == list(itertools.product(range(3), range(2), range(5)))
    assert made.finished == "all 30 candidates proposed"


@pytest.mark.parametrize(
    ("points", "taken"),
    [
        (2, ([0, 2], [0, 1], [0, 4])),
        (3, ([0, 1, 2], [0, 1], [0, 2, 4])),
        (1, ([1], [0], [2])),
        (99, (range(3), range(2), range(5))),
        ({"c": 3}, (range(3), range(2), [0, 2, 4])),
        ({"a": 1, "c": 2}, ([1], range(2), [0, 4])),
    ],
)
def test_a_grid_takes_points_evenly_with_both_ends(points, taken):
    made = strategy("grid", SPACE, objectives=OBJECTIVES, options={"points": points})
    expected = list(itertools.product(*taken))
    assert everything(made) == expected
    assert made.finished == f"all {len(expected)} candidates of the grid proposed"


def test_a_grid_passes_over_what_it_was_told():
    made = strategy("grid", SPACE, objectives=OBJECTIVES, options={"points": 2})
    on_grid, beside = [2, 1, 4], [1, 0, 0]
    made.tell(np.array([on_grid, beside]), np.zeros((2, 1)))
    rows = everything(made)
    assert len(rows) == 7
    assert tuple(on_grid) not in rows


def test_ten_million_candidates_stream_through_little_memory():
    space = Space(tuple(Decision(f"d{i}", tuple(range(10))) for i in range(7)))
    made = strategy("brute-force", space, objectives=OBJECTIVES)
    values = np.zeros((made.batch, 1))
    tracemalloc.start()
    for _ in range(100):
        candidates = made.ask(made.batch)
        made.tell(candidates, values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6
    assert space.positions(candidates[-1:]) == [100 * made.batch - 1]
    assert made.finished is None
