"""What holds for every strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.spaces.space import Decision, Space
from widthwise.strategies.protocol import Strategy
from widthwise.testing.holds import holds

OBJECTIVES = 2
COUNTS = (4, 3, 4, 3)  # choices of each decision
Told = list[tuple[IntArray, FloatArray]]
Make = Callable[[Space, int], Strategy]


def check_strategy(make: Make, space: Space | None = None) -> None:
    """A strategy proposes each candidate once, bears failures, is reproducible and can be replayed.

    make: a fresh strategy for a space and a seed, with two objectives, as
    `lambda space, seed: ww.strategy("my.module:Mine", space, objectives={...}, seed=seed)`.
    space: one that it can handle, of 20 to 10,000 candidates; by default 144 of numbers.
    """
    tried = space or Space(tuple(Decision(f"d{i}", tuple(range(2, 2 + n))) for i, n in enumerate(COUNTS)))
    _check_end(make, tried)
    _check_same_seed(make, tried)
    _check_replay(make, tried)
    _check_nothing(make, tried)


def _check_end(make: Make, space: Space) -> None:
    for failing in (False, True):
        made = make(space, 0)
        holds(made.batch >= 1, "batch is a whole number from 1")
        holds(isinstance(made.learns, bool), "learns is true or false")
        told = _run(made, space, (7 for _ in range(2 * space.size)), failing=failing)
        _check_distinct(space, told)
        holds(len(made.ask(3)) == 0, "once it proposes nothing, it goes on to propose nothing")
        holds(made.finished, "once it proposes nothing more, finished says why")


def _check_same_seed(make: Make, space: Space) -> None:
    one, other = (_run(make(space, 3), space, [5, 5, 5], failing=False) for _ in range(2))
    holds(_rows(one) == _rows(other), "the same seed and the same results lead to the same proposals")


def _check_replay(make: Make, space: Space) -> None:
    """Stopped between two batches and brought back, it goes on as if nothing had happened."""
    straight = _run(make(space, 1), space, [4, 1, 3, 4], failing=True)
    first = _run(make(space, 1), space, [4, 1], failing=True)
    again = make(space, 1)
    again.replay(first)
    rest = _run(again, space, [3, 4], failing=True)
    holds(_rows(first) + _rows(rest) == _rows(straight), "replayed, it goes on as if it had not been stopped")


def _check_nothing(make: Make, space: Space) -> None:
    made = make(space, 0)
    none = made.ask(0)
    holds(none.shape == (0, len(space.decisions)), "asked for none, it proposes none: [0, D]")
    holds(made.finished is None, "asked for none, it isn't finished")
    made.tell(none, np.empty((0, OBJECTIVES)))
    rows: list[list[int]] = []
    for _ in range(3):
        candidates = made.ask(2)
        made.tell(candidates, np.full((len(candidates), OBJECTIVES), np.nan))
        rows += candidates.tolist()
    holds(rows, "it goes on where everything fails")


def _run(made: Strategy, space: Space, batches: Iterable[int], *, failing: bool) -> Told:
    told: Told = []
    for count in batches:
        candidates = made.ask(count)
        holds(candidates.dtype == np.int64, "candidates are int64")
        holds(candidates.ndim == 2 and candidates.shape[1] == len(space.decisions), "candidates are [k, D]")
        holds(len(candidates) <= count, "ask(n) gives at most n candidates")
        if not len(candidates):
            break
        values = _values(space, candidates, failing=failing)
        made.tell(candidates, values)
        told.append((candidates, values))
    return told


def _values(space: Space, candidates: IntArray, *, failing: bool) -> FloatArray:
    """Two objectives [k, 2] that trade off; some candidates fail, always the same ones."""
    share = candidates / np.maximum(space.cardinalities - 1, 1)
    waves = np.sin(share * np.arange(1, share.shape[1] + 1))
    values: FloatArray = np.stack([waves.sum(axis=1), -share.sum(axis=1)], axis=1)
    if failing:
        values[candidates.sum(axis=1) % 3 == 0] = np.nan
    return values


def _rows(told: Told) -> list[list[int]]:
    return [row for candidates, _ in told for row in candidates.tolist()]


def _check_distinct(space: Space, told: Told) -> None:
    rows = _rows(told)
    holds(rows, "a fresh strategy proposes something")
    holds(len({tuple(row) for row in rows}) == len(rows), "no candidate is proposed twice")
    table = np.array(rows)
    inside = (table >= 0).all() and (table < space.cardinalities).all()
    holds(inside, "proposals are choices of the space")
