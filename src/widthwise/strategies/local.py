"""Local search: single-decision moves from every point of the front until none of them improves it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.metrics.goals.pareto import Front
from widthwise.spaces.space import Key
from widthwise.spaces.within import Within
from widthwise.strategies.numbered import generator
from widthwise.strategies.protocol import Setting, together
from widthwise.strategies.seen import Seen

CERTIFICATE = "no single change improves any point of the front"
BATCH = 64
DEFAULT_STARTS = 16
MOVES = 256  # of one point, looked at together


class Local:
    """Pareto local search (Paquete et al. 2004): tries every neighbour of every point of the front.

    Starts from the candidates told before the first `ask`, the first and the last choice of every decision
    and random candidates, `starts` in all or as many as were told. Each proposal is a neighbour of a random
    point of the front, the next in that point's random order. When all neighbours of the whole front were
    evaluated, `finished` certifies it.
    """

    learns = True

    def __init__(self, setting: Setting) -> None:
        self.batch = BATCH
        self._space = setting.space
        self._seed = setting.seed
        self._starts: int = setting.options.get("starts", DEFAULT_STARTS)
        self._seen = Seen(setting.space)
        self._front = Front(len(setting.objectives))
        self._told: list[IntArray] = []  # candidates with results, by their number in the front
        self._tried: dict[int, int] = {}  # point of the front to how many of its moves are known to be seen
        self._pending: set[Key] = set()
        self._proposed = 0
        self._queue: list[list[int]] | None = None  # starts; None before the first ask
        self._within: Within | None = None

    def keep_within(self, within: Within) -> None:
        """Propose candidates within these bounds alone; `finished` then is about these."""
        self._within = within
        self._seen.keep_within(within)

    @property
    def finished(self) -> str | None:
        """That everything was proposed, or that nothing improves the front; None while there is more."""
        if (exhausted := self._seen.exhausted) is not None:
            return exhausted
        if self._pending or not len(self._front) or self._queue is None or self._proposed < len(self._queue):
            return None
        if any(self._move(point) is not None for point in self._front.ids.tolist()):
            return None
        return CERTIFICATE if self._within is None else f"{CERTIFICATE} ({self._within.bounds})"

    def ask(self, n: int) -> IntArray:
        """Up to n starts or neighbours of the front, [k, D]; none while the last are being evaluated."""
        if self._queue is None and n > 0:
            self._queue = self._first_starts(self._starts - len(self._told))
        chosen: list[list[int]] = []
        while len(chosen) < n and self._seen.left > 0:
            candidate = self._next()
            if candidate is None:
                break
            key = self._seen.key(candidate)
            self._seen.take(key)
            self._pending.add(key)
            self._proposed += 1
            chosen.append(candidate)
        return np.array(chosen, dtype=np.int64).reshape(len(chosen), len(self._space.decisions))

    def tell(self, candidates: IntArray, values: FloatArray) -> None:
        """Results [k, objectives] of candidates [k, D]; a point new on the front gets its turn."""
        self._pending.difference_update(self._space.keys(candidates))
        self._seen.take_all(candidates)
        self._told.extend(candidates)
        self._front.update(values)

    def replay(self, batches: Iterable[tuple[IntArray, FloatArray]]) -> None:
        """Go to where the one told these stood, all at once: what is proposed follows from what was told."""
        for candidates, values in together(batches):
            if self._queue is None:
                self._queue = self._first_starts(self._starts - len(self._told))
            self._proposed += len(candidates)
            self.tell(candidates, values)

    def _next(self) -> list[int] | None:
        assert self._queue is not None
        rng = generator(self._seed, self._proposed, stream=1)
        if self._proposed < len(self._queue):
            return self._seen.nearest_unseen(self._queue[self._proposed], rng)
        for point in rng.permutation(self._front.ids).tolist():
            if (move := self._move(point)) is not None:
                return move
        if len(self._front) or self._pending:
            return None
        return self._seen.nearest_unseen(self._random(rng), rng)  # every start failed: another

    def _move(self, point: int) -> list[int] | None:
        """The first unseen neighbour of a told candidate in its own random order; None where all are seen."""
        count = len(self._space.every_choice[0])
        tried = self._tried.get(point, 0)
        if tried >= count:
            return None
        order = np.random.default_rng([self._seed, 2, point]).permutation(count)
        for first in range(tried, count, MOVES):
            moves = self._space.variants(self._told[point], order[first : first + MOVES])
            free = np.array([key not in self._seen for key in self._space.keys(moves)], dtype=bool)
            if self._within is not None and free.any():
                free[free] = self._within(moves[free])
            if free.any():
                row = int(free.argmax())
                self._tried[point] = first + row
                found: list[int] = moves[row].tolist()
                return found
        self._tried[point] = count
        return None

    def _first_starts(self, count: int) -> list[list[int]]:
        rng = generator(self._seed, 0)
        lowest = [0] * len(self._space.decisions)
        highest = (self._space.cardinalities - 1).tolist()
        starts = [lowest, highest, *(self._random(rng) for _ in range(count - 2))]
        return starts[: max(count, 0)]

    def _random(self, rng: np.random.Generator) -> list[int]:
        drawn: list[int] = self._space.sample(1, rng)[0].tolist()
        return drawn
