"""Local search: its certificate is true, and it starts where it was told to."""

from __future__ import annotations

import numpy as np
import pytest

from widthwise.metrics.goals.pareto import nondominated
from widthwise.spaces.space import Decision, Space
from widthwise.strategies import strategy
from widthwise.strategies.local import CERTIFICATE

SPACE = Space(tuple(Decision(f"d{i}", tuple(range(2, 8))) for i in range(4)))
OBJECTIVES = {"accuracy": "maximize", "size": "minimize"}


def rugged(seed):
    """Values [size, 2] of all candidates: a cost and a quality with noise, so that there are local optima."""
    rng = np.random.default_rng(seed)
    candidates = SPACE.at(range(SPACE.size))
    quality = np.sqrt(candidates + 1).sum(axis=1) + rng.normal(scale=0.3, size=SPACE.size)
    return np.stack([quality, -(candidates @ np.array([1.0, 2, 3, 4]))], axis=1)


def search(made, values):
    told = []
    while len(candidates := made.ask(16)):
        positions = SPACE.positions(candidates)
        made.tell(candidates, values[positions])
        told += positions
    return told


@pytest.mark.parametrize("seed", range(5))
def test_no_single_change_improves_the_front_where_it_says_so(seed):
    values = rugged(seed)
    made = strategy("local", SPACE, objectives=OBJECTIVES, seed=seed)
    told = search(made, values)
    assert made.finished == CERTIFICATE
    assert len(told) < SPACE.size
    front = np.array(told)[nondominated(values[told])]
    everything = SPACE.at(range(SPACE.size))
    for point in SPACE.at(front.tolist()):
        for neighbour in np.flatnonzero((everything != point).sum(axis=1) == 1):
            pool = np.append(values[front], values[[neighbour]], axis=0)
            assert neighbour in front or not nondominated(pool)[-1]


def test_what_it_was_told_counts_as_starts():
    start = SPACE.at([100])
    for starts, others in ((1, 0), (4, 3)):
        values = rugged(0)
        made = strategy("local", SPACE, objectives=OBJECTIVES, options={"starts": starts})
        made.tell(start, values[[100]])
        asked = made.ask(20)
        assert ((asked[others:] != start).sum(axis=1) == 1).all()
        assert asked[: min(others, 2)].tolist() == [[0, 0, 0, 0], [5, 5, 5, 5]][:others]


def test_it_starts_from_the_extremes():
    made = strategy("local", SPACE, objectives=OBJECTIVES, options={"starts": 4})
    starts = made.ask(10)
    assert len(starts) == 4
    assert starts[:2].tolist() == [[0, 0, 0, 0], [5, 5, 5, 5]]
    assert len(made.ask(10)) == 0
    assert made.finished is None  # it waits for results
