"""One run of one strategy with one seed: what it evaluated, in order, and how long it thought itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.search.comparing.contest import Contest
from widthwise.search.comparing.judge import Judge, Judged
from widthwise.strategies import Strategy

MOST_OUTSIDE = 100_000  # candidates out of bounds in a row after which a run ends


class StrategyError(Exception):
    """What a strategy raised in ask or tell, and after how many evaluations."""


@dataclass(frozen=True)
class Race:
    """What a run evaluated, [n] in order, n <= budget.

    own_seconds [n]: time in ask and tell until the batch of that evaluation was told. ended: why it stopped.
    """

    judged: Judged
    own_seconds: FloatArray
    ended: str

    def __len__(self) -> int:
        return len(self.own_seconds)


def race(strategy: Strategy, contest: Contest, judge: Judge, budget: int) -> Race:
    """Let the strategy evaluate up to `budget` candidates; those out of bounds by their costs don't count.

    Raises StrategyError for what the strategy raises, and what evaluating raises as it is.
    """
    parts: list[Judged] = [judge.judged(np.empty((0, len(contest.metrics))))]
    own: list[float] = []
    outside, thought, ended = 0, 0.0, ""
    while not ended:
        began = time.perf_counter()
        with _blamed(after=len(own)):
            candidates = strategy.ask(min(contest.batch or strategy.batch, budget - len(own)))
        thought += time.perf_counter() - began
        if not len(candidates):
            ended = strategy.finished or "the strategy proposes nothing more"
            break
        inside = contest.inside(candidates)
        judged = judge(candidates[inside])
        values = np.full((len(candidates), len(contest.aim.directions)), np.nan)
        values[inside] = judged.values
        began = time.perf_counter()
        with _blamed(after=len(own)):
            strategy.tell(candidates, values)
        thought += time.perf_counter() - began
        parts.append(judged)
        own += [thought] * len(judged.values)
        outside = 0 if inside.any() else outside + len(candidates)
        if len(own) >= budget:
            ended = f"{budget:,} evaluations done"
        elif outside >= MOST_OUTSIDE:
            ended = f"{outside:,} candidates in a row were out of bounds"
    return Race(_joined(parts), np.array(own), ended)


@contextmanager
def _blamed(*, after: int) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        said = str(error) if isinstance(error, UserError) else describe_error(error)
        raise StrategyError(f"after {after:,} evaluations: {said}") from error


def _joined(parts: list[Judged]) -> Judged:
    return Judged(
        np.concatenate([part.metrics for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.worthy for part in parts]),
    )
