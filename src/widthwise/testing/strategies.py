"""What holds for every strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.spaces.space import Decision, Space
from widthwise.strategies.protocol import Strategy
from widthwise.testing.holds import holds

COUNTS = (4, 3, 4, 3)  # choices of each decision
Told = list[tuple[IntArray, FloatArray]]
Make = Callable[[Space, int], Strategy]


def check_strategy(make: Make, space: Space | None = None, *, objectives: int = 2) -> None:
    """A strategy proposes each candidate once, bears failures, is reproducible and can be replayed.

    make: a fresh strategy for a space and a seed, with so many objectives, as
    `lambda space, seed: ww.strategy("my.module:Mine", space, objectives={...}, seed=seed)`.
    space: one that it can handle, of up to 10,000 candidates; by default 144 of numbers. It is also tried on
    the first choice of each decision alone, and on no decisions. objectives: 1, 2 or 3.
    """
    tried = space or Space(tuple(Decision(f"d{i}", tuple(range(2, 2 + n))) for i, n in enumerate(COUNTS)))
    trial = _Trial(make, tried, objectives)
    for check in (_check_end, _check_same_seed, _check_replay, _check_none, _check_failures, _check_foreign):
        check(trial)
    _check_one_by_one(trial)
    one = Space(tuple(replace(decision, choices=decision.choices[:1]) for decision in tried.decisions))
    for least in (one, Space(())):
        _check_single(_Trial(make, least, objectives))


class _Trial:
    """How a strategy is asked and told: what it proposes is looked at each time."""

    def __init__(self, make: Make, space: Space, objectives: int) -> None:
        self.make, self.space, self.objectives = make, space, objectives

    def run(self, made: Strategy, batches: Iterable[int], *, failing: bool = False) -> Told:
        """Asked and told in batches, until it proposes nothing more or they end."""
        told: Told = []
        for count in batches:
            candidates = self.asked(made, count)
            if not len(candidates):
                break
            values = self.values(candidates, failing=failing)
            made.tell(candidates, values)
            told.append((candidates, values))
        return told

    def asked(self, made: Strategy, count: int) -> IntArray:
        candidates = made.ask(count)
        holds(candidates.dtype == np.int64, "candidates are int64")
        width = len(self.space.decisions)
        holds(candidates.ndim == 2 and candidates.shape[1] == width, "candidates are [k, D]")
        holds(len(candidates) <= count, "ask(n) gives at most n candidates")
        return candidates

    def values(self, candidates: IntArray, *, failing: bool = False) -> FloatArray:
        """Objectives [k, objectives] that trade off; some candidates fail, always the same ones."""
        share = candidates / np.maximum(self.space.cardinalities - 1, 1)
        waves = np.sin(share * np.arange(1, share.shape[1] + 1))
        table = np.stack([waves.sum(axis=1), -share.sum(axis=1), waves.prod(axis=1)], axis=1)
        values: FloatArray = table[:, : self.objectives]
        if failing:
            values[candidates.sum(axis=1) % 3 == 0] = np.nan
        return values

    def distinct(self, rows: list[list[int]]) -> None:
        holds(rows, "a fresh strategy proposes something")
        holds(len({tuple(row) for row in rows}) == len(rows), "no candidate is proposed twice")
        table = np.array(rows)
        inside = (table >= 0).all() and (table < self.space.cardinalities).all()
        holds(inside, "proposals are choices of the space")

    def ended(self, made: Strategy) -> None:
        holds(len(made.ask(3)) == 0, "once it proposes nothing, it goes on to propose nothing")
        holds(made.finished, "once it proposes nothing more, finished says why")


def _check_end(trial: _Trial) -> None:
    for count, failing in ((7, False), (7, True), (1, False), (trial.space.size + 1, False)):
        made = trial.make(trial.space, 0)
        holds(made.batch >= 1, "batch is a whole number from 1")
        holds(isinstance(made.learns, bool), "learns is true or false")
        holds(made.finished is None, "a fresh strategy isn't finished")
        told = trial.run(made, (count for _ in range(2 * trial.space.size)), failing=failing)
        trial.distinct(_rows(told))
        trial.ended(made)


def _check_same_seed(trial: _Trial) -> None:
    one, other = (trial.run(trial.make(trial.space, 3), [5, 5, 5]) for _ in range(2))
    holds(_rows(one) == _rows(other), "the same seed and the same results lead to the same proposals")


def _check_replay(trial: _Trial) -> None:
    """Stopped between two batches and brought back, it goes on as if nothing had happened."""
    straight = trial.run(trial.make(trial.space, 1), [4, 1, 3, 4], failing=True)
    first = trial.run(trial.make(trial.space, 1), [4, 1], failing=True)
    again = trial.make(trial.space, 1)
    again.replay(first)
    rest = trial.run(again, [3, 4], failing=True)
    holds(_rows(first) + _rows(rest) == _rows(straight), "replayed, it goes on as if it had not been stopped")


def _check_none(trial: _Trial) -> None:
    """Asked for none in between, it goes on as if it had not been asked."""
    made, other = trial.make(trial.space, 0), trial.make(trial.space, 0)
    for _ in range(3):
        none = trial.asked(made, 0)
        holds(none.shape == (0, len(trial.space.decisions)), "asked for none, it proposes none: [0, D]")
        holds(made.finished is None, "asked for none, it isn't finished")
        made.tell(none, np.empty((0, trial.objectives)))
        same = _rows(trial.run(made, [2])) == _rows(trial.run(other, [2]))
        holds(same, "asked for none, it goes on as if it had not been asked")


def _check_failures(trial: _Trial) -> None:
    made = trial.make(trial.space, 0)
    rows: list[list[int]] = []
    for _ in range(3):
        candidates = trial.asked(made, 2)
        holds(len(candidates), "it goes on where everything fails")
        made.tell(candidates, np.full((len(candidates), trial.objectives), np.nan))
        rows += candidates.tolist()
    trial.distinct(rows)


def _check_foreign(trial: _Trial) -> None:
    made = trial.make(trial.space, 0)
    foreign = trial.space.at(sorted({0, trial.space.size // 2, trial.space.size - 1}))
    made.tell(foreign, trial.values(foreign))
    rows = _rows(trial.run(made, (3 for _ in range(trial.space.size))))
    known = {tuple(row) for row in foreign.tolist()}
    holds(not known & set(map(tuple, rows)), "what it was told from elsewhere is not proposed")
    trial.ended(made)


def _check_one_by_one(trial: _Trial) -> None:
    made = trial.make(trial.space, 0)
    rows: list[list[int]] = []
    for _ in range(2):
        candidates = trial.asked(made, 4)
        rows += candidates.tolist()
        for row in reversed(range(len(candidates))):  # results come one by one, the last first
            one = candidates[row : row + 1]
            made.tell(one, trial.values(one))
    trial.distinct(rows)


def _check_single(trial: _Trial) -> None:
    made = trial.make(trial.space, 0)
    alone = [[0] * len(trial.space.decisions)]
    asked = trial.asked(made, 5)
    holds(asked.tolist() == alone, "of a space of one candidate it proposes that one, and nothing beside it")
    made.tell(asked, np.ones((1, trial.objectives)))
    trial.ended(made)


def _rows(told: Told) -> list[list[int]]:
    return [row for candidates, _ in told for row in candidates.tolist()]
