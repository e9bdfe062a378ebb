"""Candidates worth judging: relatives of the front, neighbours of the best, and strangers."""

from __future__ import annotations

from collections.abc import Set

import numpy as np

from widthwise.core.arrays import IntArray
from widthwise.spaces.space import Key, Space
from widthwise.spaces.within import Within

REPAIRED = 32  # strangers that are changed until they are within bounds, where none is by chance
MUTATIONS = 0.5  # success rate of the geometric number of further mutations


class Pool:
    """Unseen candidates of one space, each once, to choose from."""

    def __init__(self, space: Space, taken: Set[Key], size: int) -> None:
        self._space, self._taken, self.size = space, taken, size
        self.within: Within | None = None  # which candidates may be proposed; None: all
        self.planned: IntArray = space.at([])  # candidates that are always judged

    @property
    def is_whole_space(self) -> bool:
        """Whether every candidate that is left is judged, because there are few."""
        return self._space.size <= 2 * self.size + len(self._taken)

    def unseen(self, rows: IntArray) -> IntArray:
        """Those of the rows [K, D] that are not taken, each once, in their order."""
        first: dict[Key, int] = {}
        for row, key in enumerate(self._space.keys(rows)):
            if key not in self._taken:
                first.setdefault(key, row)
        return self._within(rows[list(first.values())])

    def _within(self, rows: IntArray) -> IntArray:
        return rows if self.within is None or not len(rows) else rows[self.within(rows)]

    def start(self, parents: IntArray, rng: np.random.Generator) -> IntArray:
        """All that are left of a small space; else children of the parents [F, D], and random ones."""
        if self.is_whole_space:
            left = [position for position in range(self._space.size) if position not in self._taken]
            return self._within(self._space.at(left))
        quarter = self.size // 4
        strangers = self._strangers(quarter, rng)
        if not len(parents):
            return self.unseen(np.concatenate([self.planned, strangers]))
        mutants = self._mutated(parents[rng.integers(len(parents), size=2 * quarter)], rng)
        crossed = self._crossed(parents, quarter, rng)
        return self.unseen(np.concatenate([self.planned, mutants, crossed, strangers]))

    def _strangers(self, count: int, rng: np.random.Generator) -> IntArray:
        strangers = self._space.sample(count, rng)
        if self.within is None or self.within(strangers).any():
            return strangers
        repaired = (self.within.repaired(stranger, rng) for stranger in strangers[:REPAIRED])
        return np.array([*strangers, *(row for row in repaired if row is not None)])

    def neighbours(self, rows: IntArray, rng: np.random.Generator, most: int) -> IntArray:
        """Up to `most` unseen candidates that differ from one of the rows [K, D] in one decision."""
        moves = len(self._space.every_choice[0])
        each = max(1, most // max(1, len(rows)))
        made = [
            self._space.variants(row, None if moves <= each else rng.permutation(moves)[:each])
            for row in rows
        ]
        return self.unseen(np.concatenate(made)) if made else rows

    def _mutated(self, rows: IntArray, rng: np.random.Generator) -> IntArray:
        """Half of the changes go to a neighbouring choice, half to any."""
        decisions = rows.shape[1]
        changes = rng.geometric(MUTATIONS, size=(len(rows), 1)) + 1
        changed = rng.random(rows.shape) < changes / decisions
        near = np.clip(rows + rng.choice([-1, 1], size=rows.shape), 0, self._space.cardinalities - 1)
        fresh = np.where(rng.random(rows.shape) < 0.5, near, self._space.sample(len(rows), rng))
        return np.where(changed, fresh, rows)

    def _crossed(self, parents: IntArray, count: int, rng: np.random.Generator) -> IntArray:
        mothers, fathers = (parents[rng.integers(len(parents), size=count)] for _ in range(2))
        return np.where(rng.random(mothers.shape) < 0.5, mothers, fathers)
