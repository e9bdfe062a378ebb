"""A strategy that begins with given candidates is a strategy as any, and learns from them."""

from __future__ import annotations

import numpy as np
import pytest

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.spaces.space import Decision, Space
from widthwise.spaces.within import Within
from widthwise.strategies import Strategy, strategy
from widthwise.strategies.opening import Opening
from widthwise.testing import check_strategy

SPACE = Space(tuple(Decision(f"d{i}", (2, 3, 4, 6, 8)) for i in range(4)))
OPTIONS = {
    "nsga2": {"population_size": 8},
    "local": {"starts": 5},
    "frontier": {"sensitivity": 6, "pool": 64},
}
ALIKE = np.repeat(np.arange(5)[:, None], 4, axis=1)


def make(name: str, space: Space = SPACE, seed: int = 0) -> Strategy:
    named = {"quality": "maximize", "cost": "minimize"}
    inner = strategy(name, space, objectives=named, seed=seed, options=OPTIONS.get(name, {}))
    alike = ALIKE[:, : len(space.decisions)]
    return Opening(inner, space, np.unique(np.minimum(alike, space.cardinalities - 1), axis=0))


def values(candidates: IntArray) -> FloatArray:
    return np.stack([np.sin(candidates).sum(axis=1), -candidates.sum(axis=1)], axis=1).astype(float)


@pytest.mark.parametrize("name", ["random", "local", "frontier", "tpe", "nsga2"])
def test_it_is_a_strategy(name: str) -> None:
    check_strategy(lambda space, seed: make(name, space, seed))


@pytest.mark.parametrize("name", ["random", "frontier", "nsga2"])
@pytest.mark.parametrize("stopped", [1, 2, 4])
def test_stopped_among_them_it_goes_on_as_if_it_had_not_been(name: str, stopped: int) -> None:
    def run(made: Strategy, times: int) -> list[tuple[IntArray, FloatArray]]:
        told = []
        for _ in range(times):
            candidates = made.ask(3)
            made.tell(candidates, values(candidates))
            told.append((candidates, values(candidates)))
        return told

    straight = run(make(name), 6)
    assert np.concatenate([rows for rows, _ in straight])[:5].tolist() == ALIKE.tolist()
    again = make(name)
    again.replay(straight[:stopped])
    rest = run(again, 6 - stopped)
    assert [rows.tolist() for rows, _ in rest] == [rows.tolist() for rows, _ in straight[stopped:]]


def test_what_began_without_them_goes_on_without() -> None:
    plain = strategy("random", SPACE, objectives={"quality": "maximize"}, seed=0)
    first, following = plain.ask(4), plain.ask(4)
    made = make("random")
    made.replay([(first, values(first))])
    assert np.array_equal(made.ask(4), following)


def test_only_those_within_bounds() -> None:
    def excess(rows: IntArray) -> FloatArray:
        return np.maximum(rows.sum(axis=1) - 9, 0).astype(float)

    made = make("random")
    made.keep_within(Within(SPACE, excess))
    assert made.ask(5).tolist() == ALIKE[:3].tolist()


def test_nothing_else_until_they_are_told() -> None:
    made = make("tpe")
    first = made.ask(9)
    assert len(first) == 5
    assert len(made.ask(3)) == 0
    assert made.finished is None
    made.tell(first, values(first))
    assert len(made.ask(3)) == 3
