"""Uniform random candidates, none of them twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from widthwise.space import FloatArray, IntArray, Space
from widthwise.strategies.protocol import CostFunction
from widthwise.strategies.registry import STRATEGIES

if TYPE_CHECKING:
    from widthwise.metrics.catalogue import Direction

PERMUTED = 2**20  # spaces up to this size are shuffled as a whole
BLOCK = 1024  # candidates drawn at once: what is proposed does not depend on how many are asked for


class Random:
    """Uniform candidates without repeats, from spaces of any size.

    Small spaces are shuffled once. In larger ones candidates are drawn and repeats thrown away, until half
    the space is taken; then what is left is shuffled.
    """

    def __init__(
        self,
        space: Space,
        *,
        objectives: Mapping[str, Direction],
        seed: int = 0,
        options: Mapping[str, Any] | None = None,
        costs: CostFunction | None = None,
    ) -> None:
        del objectives, costs
        STRATEGIES["random"].checked(options or {})
        self.batch = BLOCK
        self._space = space
        self._rng = np.random.default_rng(seed)
        self._taken: set[int] = set()
        self._drawn: deque[int] = deque()
        self._last: IntArray | None = None

    @property
    def finished(self) -> str | None:
        """Why nothing more comes, once everything was proposed."""
        if len(self._taken) < self._space.size:
            return None
        return f"all {self._space.size:,} candidates proposed"

    def ask(self, n: int) -> IntArray:
        """n candidates [k, D]; fewer where fewer are left."""
        positions: list[int] = []
        while len(positions) < n and len(self._taken) < self._space.size:
            if not self._drawn:
                self._draw()
            position = self._drawn.popleft()
            if position not in self._taken:
                self._taken.add(position)
                positions.append(position)
        self._last = self._space.at(positions)
        return self._last

    def tell(self, candidates: IntArray, values: FloatArray) -> None:
        """Nothing is learned from values; candidates from elsewhere will not be proposed again."""
        del values
        if self._last is None or not np.array_equal(candidates, self._last):
            self._taken.update(self._space.positions(candidates))

    def _draw(self) -> None:
        size = self._space.size
        if size <= PERMUTED:
            self._drawn.extend(self._rng.permutation(size).tolist())
        elif len(self._taken) <= size // 2:
            self._drawn.extend(self._space.positions(self._space.sample(BLOCK, self._rng)))
        else:  # the set of what is taken is as large already as the list of what is left
            left = [position for position in range(size) if position not in self._taken]
            self._drawn.extend(left[index] for index in self._rng.permutation(len(left)).tolist())
