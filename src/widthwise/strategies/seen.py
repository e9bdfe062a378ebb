"""Which candidates of a space are taken already, and the nearest that is not."""

from __future__ import annotations

import numpy as np

from widthwise.space import IntArray, Space

FEW = 16_384  # so few unseen candidates are compared one with another at once
LISTED = 2**24  # spaces up to this size may be listed as a mask
TRIES = 32  # random candidates tried at each distance before going one further


class Seen:
    """A growing set of candidates of one space, by their positions: the space may have more than 2^63."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self._taken: set[int] = set()
        counts = [int(count) for count in space.cardinalities]
        self._strides = [1] * len(counts)
        for column in range(len(counts) - 2, -1, -1):
            self._strides[column] = self._strides[column + 1] * counts[column + 1]
        self._counts = counts
        self._ordered = [decision.ordered for decision in space.decisions]

    def __len__(self) -> int:
        return len(self._taken)

    def __contains__(self, position: int) -> bool:
        return position in self._taken

    @property
    def left(self) -> int:
        """How many candidates are not taken."""
        return self.space.size - len(self._taken)

    def position(self, candidate: list[int]) -> int:
        """Where one candidate stands in the enumeration."""
        return sum(choice * stride for choice, stride in zip(candidate, self._strides, strict=True))

    def take(self, position: int) -> bool:
        """Mark one candidate; False where it was taken already."""
        if position in self._taken:
            return False
        self._taken.add(position)
        return True

    def nearest_unseen(self, candidate: list[int], rng: np.random.Generator) -> list[int]:
        """The untaken candidate fewest single-decision moves away, ties by smallest step and then by `rng`.

        Beyond one move the distance is exact where few candidates are left, otherwise that of the nearest
        among random ones. At least one candidate must be left.
        """
        if self.position(candidate) not in self._taken:
            return candidate
        if (move := self._single_move(candidate, rng)) is not None:
            return move
        if self.left <= FEW and self.space.size <= LISTED:
            return self._nearest_of_few(candidate, rng)
        return self._random_moves(candidate, rng)

    def _single_move(self, candidate: list[int], rng: np.random.Generator) -> list[int] | None:
        own = self.position(candidate)
        best: list[tuple[int, int]] = []
        closest = max(self._counts)
        for column, (choice, count) in enumerate(zip(candidate, self._counts, strict=True)):
            for other in range(count):
                step = abs(other - choice) if self._ordered[column] else 1
                if other == choice or step > closest:
                    continue
                if own + (other - choice) * self._strides[column] in self._taken:
                    continue
                if step < closest:
                    best, closest = [], step
                best.append((column, other))
        if not best:
            return None
        column, other = best[int(rng.integers(len(best)))]
        return [*candidate[:column], other, *candidate[column + 1 :]]

    def unseen(self) -> IntArray:
        """The candidates [k, D] that are not taken, in their order; only for spaces up to LISTED."""
        free = np.ones(self.space.size, dtype=bool)
        free[np.fromiter(self._taken, dtype=np.int64, count=len(self._taken))] = False
        return self.space.at(np.flatnonzero(free).tolist())

    def _nearest_of_few(self, candidate: list[int], rng: np.random.Generator) -> list[int]:
        unseen = self.unseen()
        moves = (unseen != np.array(candidate)).sum(axis=1)
        nearest = np.flatnonzero(moves == moves.min())
        chosen: list[int] = unseen[nearest[int(rng.integers(len(nearest)))]].tolist()
        return chosen

    def _random_moves(self, candidate: list[int], rng: np.random.Generator) -> list[int]:
        searched = [column for column, count in enumerate(self._counts) if count > 1]
        for distance in range(2, len(searched) + 1):
            for _ in range(TRIES):
                moved = list(candidate)
                for column in rng.choice(searched, size=distance, replace=False):
                    shift = int(rng.integers(1, self._counts[column]))
                    moved[column] = (moved[column] + shift) % self._counts[column]
                if self.position(moved) not in self._taken:
                    return moved
        while True:  # a candidate is left, and this space has many
            sample: list[int] = self.space.sample(1, rng)[0].tolist()
            if self.position(sample) not in self._taken:
                return sample
