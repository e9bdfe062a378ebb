"""Bounds known without an evaluation: what breaks them is never passed on, whatever the strategy."""

from __future__ import annotations

import numpy as np
import pytest

from widthwise.space import Decision, Space
from widthwise.strategies import replay, strategy
from widthwise.strategies.within import Within

SPACE = Space(tuple(Decision(f"d{i}", tuple(range(2, 6))) for i in range(4)))
OBJECTIVES = {"accuracy": "maximize", "model_size": "minimize"}


def small(candidates):
    return candidates.sum(axis=1) <= 5


def values_of(candidates):
    return np.stack([np.sin(candidates).sum(axis=1), -candidates.sum(axis=1)], axis=1)


def make(name, allowed=small, patience=None):
    inner = strategy(name, SPACE, objectives=OBJECTIVES, seed=1)
    return Within(inner, SPACE, allowed, objectives=2, patience=patience)


@pytest.mark.parametrize("name", ["brute-force", "random", "tpe", "nsga2", "qmc"])
@pytest.mark.parametrize("batch", [1, 13])
def test_all_that_is_within_the_bounds_and_nothing_else_is_passed_on(name, batch):
    made = make(name)
    positions = []
    while len(candidates := made.ask(batch)):
        made.tell(candidates, values_of(candidates))
        positions += SPACE.positions(candidates)
    everything = SPACE.at(range(SPACE.size))
    assert sorted(positions) == np.flatnonzero(small(everything)).tolist()
    outside = SPACE.size - len(positions)
    assert made.finished == f"all 256 candidates proposed, {outside} of them outside the bounds"


@pytest.mark.parametrize("name", ["random", "tpe", "nsga2", "local"])
def test_it_is_replayed_by_asking_and_telling(name):
    def run(made, batches):
        told = []
        for n in batches:
            candidates = made.ask(n)
            told.append((candidates, values_of(candidates)))
            made.tell(*told[-1])
        return told

    straight = run(make(name), [5, 5, 1, 4, 5, 5])
    again = make(name)
    replay(again, straight[:3])
    rest = run(again, [4, 5, 5])
    assert [batch.tolist() for batch, _ in rest] == [batch.tolist() for batch, _ in straight[3:]]


def test_it_gives_up_where_nothing_is_within_the_bounds():
    made = make("random", allowed=lambda candidates: candidates.sum(axis=1) < 0, patience=40)
    assert len(made.ask(10)) == 0
    assert made.finished == "the last 40 candidates proposed, 40 of them outside the bounds"
    made = make("random", allowed=lambda candidates: candidates.sum(axis=1) < 0)
    assert len(made.ask(10)) == 0
    assert made.finished == "all 256 candidates proposed, 256 of them outside the bounds"
