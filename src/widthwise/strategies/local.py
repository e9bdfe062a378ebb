"""Local search: single-decision moves from every point of the front until none of them improves it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.metrics.goals.pareto import Front
from widthwise.spaces.within import Within
from widthwise.strategies.protocol import Setting, ask_and_tell
from widthwise.strategies.seen import Seen

CERTIFICATE = "no single change improves any point of the front"
BATCH = 64
DEFAULT_STARTS = 16


class Local:
    """Pareto local search (Paquete et al. 2004): tries every neighbour of every point of the front.

    Starts from the candidates told before the first `ask`, the first and the last choice of every decision
    and random candidates, `starts` in all or as many as were told. The points of the front are explored in
    turn, their neighbours in a random order. When all neighbours of the whole front were evaluated,
    `finished` certifies it.
    """

    learns = True

    def __init__(self, setting: Setting) -> None:
        self.batch = BATCH
        self._space = setting.space
        self._seed = setting.seed
        self._rng = np.random.default_rng(setting.seed)
        self._starts: int = setting.options.get("starts", DEFAULT_STARTS)
        self._seen = Seen(setting.space)
        self._front = Front(len(setting.objectives))
        self._told: list[list[int]] = []  # candidates with results, by their number in the front
        self._turns: deque[tuple[int, Iterator[list[int]]]] = deque()  # front points with moves left
        self._pending: set[int] = set()
        self._queue: deque[list[int]] | None = None  # starts; None before the first ask
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
        waiting = self._queue is None or self._queue or self._turns or self._pending
        if waiting or not len(self._front):
            return None
        return CERTIFICATE if self._within is None else f"{CERTIFICATE} ({self._within.bounds})"

    def ask(self, n: int) -> IntArray:
        """Up to n starts or neighbours of the front, [k, D]; none while the last are being evaluated."""
        if self._queue is None:
            self._queue = self._first_starts(self._starts - len(self._told))
        chosen: list[list[int]] = []
        while len(chosen) < n and self._seen.left > 0:
            candidate = self._next(self._queue)
            if candidate is None:
                break
            position = self._seen.position(candidate)
            self._seen.take(position)
            self._pending.add(position)
            chosen.append(candidate)
        return np.array(chosen, dtype=np.int64).reshape(len(chosen), len(self._space.decisions))

    def tell(self, candidates: IntArray, values: FloatArray) -> None:
        """Results [k, objectives] of candidates [k, D]; a point new on the front gets its turn."""
        positions = self._space.positions(candidates)
        self._pending.difference_update(positions)
        for position in positions:
            self._seen.take(position)
        first = len(self._told)
        self._told.extend(candidates.tolist())
        entered = self._front.update(values)
        on_front = set(self._front.ids.tolist())
        self._turns = deque(turn for turn in self._turns if turn[0] in on_front)
        self._turns.extend(
            (first + int(row), self._moves(first + int(row))) for row in np.flatnonzero(entered)
        )

    def replay(self, batches: Iterable[tuple[IntArray, FloatArray]]) -> None:
        """Go to where the one told these stood: asked and told again."""
        ask_and_tell(self, batches)

    def _next(self, starts: deque[list[int]]) -> list[int] | None:
        if starts:
            return self._seen.nearest_unseen(starts.popleft(), self._rng)
        while self._turns:
            point, moves = self._turns.popleft()
            if (move := next(moves, None)) is not None:
                self._turns.append((point, moves))
                return move
        if len(self._front) or self._pending:
            return None
        return self._seen.nearest_unseen(self._random(), self._rng)  # every start failed: another

    def _moves(self, point: int) -> Iterator[list[int]]:
        """The neighbours of a told candidate that are unseen when their turn comes, in a random order."""
        count = len(self._space.every_choice[0])
        order = np.random.default_rng([self._seed, point]).permutation(count)
        moves = self._space.variants(np.array(self._told[point], dtype=np.int64), order)
        if self._within is not None:
            moves = moves[self._within(moves)]
        for move in moves.tolist():
            if self._seen.position(move) not in self._seen:
                yield move

    def _first_starts(self, count: int) -> deque[list[int]]:
        lowest = [0] * len(self._space.decisions)
        highest = (self._space.cardinalities - 1).tolist()
        starts = [lowest, highest, *(self._random() for _ in range(count - 2))]
        return deque(starts[: max(count, 0)])

    def _random(self) -> list[int]:
        drawn: list[int] = self._space.sample(1, self._rng)[0].tolist()
        return drawn
