"""Which candidates of a space are taken already, and the nearest that is not."""

from __future__ import annotations

import numpy as np

from widthwise.core.arrays import IntArray
from widthwise.core.counting import count_text
from widthwise.spaces.space import Key, Space
from widthwise.spaces.within import Within

FEW = 16_384  # so few unseen candidates are compared one with another at once
LISTED = 2**24  # spaces up to this size may be listed as a mask
TRIES = 32  # random candidates tried at each distance before going one further
MOVES = 256  # changes of one candidate looked at together
WALKS, STEPS = 20, 50  # how long a free candidate within bounds is looked for in a large space


class Seen:
    """A growing set of candidates of one space, by their keys.

    Where it is told of bounds, `left` and `nearest_unseen` are about the candidates within them. few: up to
    so many candidates left, the nearest is exact at any distance.
    """

    def __init__(self, space: Space, *, few: int = FEW) -> None:
        self.space, self.few = space, few
        self._taken: set[Key] = set()
        counts = [int(count) for count in space.cardinalities]
        self._counts = counts
        self._ordered = np.array([decision.ordered for decision in space.decisions], dtype=bool)
        self._within: Within | None = None
        self._rows = np.empty((0, len(counts)), dtype=np.int32)  # all within bounds, where they are listed
        self._free = np.empty(0, dtype=bool)  # which of them are not taken
        self._gave_up = False  # no further candidate within bounds was found

    def keep_within(self, within: Within) -> None:
        """From now on only candidates within these bounds count."""
        self._within = within
        if (listed := within.listed) is not None:
            self._rows = self.space.at(listed.tolist()).astype(np.int32)
            self._free = np.array([position not in self._taken for position in listed.tolist()], dtype=bool)

    def __len__(self) -> int:
        return len(self._taken)

    def __contains__(self, key: Key) -> bool:
        return key in self._taken

    @property
    def left(self) -> int:
        """How many candidates are not taken; with bounds on a large space those out of bounds count too."""
        if self._within is None:
            return self.space.size - len(self._taken)
        if self._gave_up or self._within.nothing is not None:
            return 0
        listed = self._within.listed is not None
        return int(np.count_nonzero(self._free)) if listed else self.space.size - len(self._taken)

    @property
    def exhausted(self) -> str | None:
        """Why no candidate is left, as "all 18 candidates proposed"; None where one is."""
        if self.left > 0:
            return None
        if self._within is None:
            return f"all {count_text(self.space.size)} candidates proposed"
        if self._within.nothing is not None:
            return self._within.nothing
        if self._within.listed is None:
            return f"no further candidate within the bounds was found ({self._within.bounds})"
        return f"all {len(self._rows):,} candidates within the bounds proposed ({self._within.bounds})"

    def key(self, candidate: list[int]) -> Key:
        """What tells one candidate apart."""
        return self.space.keys(np.array([candidate], dtype=np.int64))[0]

    def take(self, key: Key) -> bool:
        """Mark one candidate; False where it was taken already."""
        if key in self._taken:
            return False
        self._taken.add(key)
        if self._within is not None and (listed := self._within.listed) is not None:
            row = int(np.searchsorted(listed, key))
            if row < len(listed) and listed[row] == key:
                self._free[row] = False
        return True

    def take_all(self, candidates: IntArray) -> None:
        """Mark candidates [K, D]."""
        keys = self.space.keys(candidates)
        self._taken.update(keys)
        if self._within is not None and (listed := self._within.listed) is not None:
            self._free[np.isin(listed, keys)] = False

    def nearest_unseen(self, candidate: list[int], rng: np.random.Generator) -> list[int] | None:
        """The untaken candidate fewest single-decision moves away, ties by smallest step and then by `rng`.

        Beyond one move the distance is exact where few candidates are left, otherwise that of the nearest
        among random ones. At least one candidate must be left. None only with bounds on a large space, where
        no free candidate within them is found; `left` is 0 from then on.
        """
        if self._within is not None:
            return self._nearest_within(self._within, candidate, rng)
        if self.key(candidate) not in self._taken:
            return candidate
        if (move := self._single_move(candidate, rng)) is not None:
            return move
        if self.left <= self.few and self.space.size <= LISTED:
            return self._nearest_of_few(candidate, rng)
        return self._random_moves(candidate, rng)

    def _nearest_within(
        self, within: Within, candidate: list[int], rng: np.random.Generator
    ) -> list[int] | None:
        row = np.array(candidate, dtype=np.int64)
        if self.key(candidate) not in self._taken and within(row[None])[0]:
            return candidate
        near = within.neighbours(row)
        near = self._unseen_of(near[within(near)])
        if not len(near) and within.listed is not None:
            free = self._rows[self._free]
            moves = (free != row).sum(axis=1)
            near = free[moves == moves.min()]
        if len(near):
            steps = np.abs(near - row).sum(axis=1)
            nearest = near[steps == steps.min()]
            chosen: list[int] = nearest[int(rng.integers(len(nearest)))].tolist()
            return chosen
        found = self._walked(within, row, rng)
        self._gave_up = found is None
        return found

    def _unseen_of(self, rows: IntArray) -> IntArray:
        """Those of the rows [K, D] that are not taken."""
        free = [row for row, key in enumerate(self.space.keys(rows)) if key not in self._taken]
        return rows[free]

    def _walked(self, within: Within, row: IntArray, rng: np.random.Generator) -> list[int] | None:
        """A free candidate within bounds on a random walk that begins at the nearest; else on others."""
        start = row
        for _ in range(WALKS):
            here = within.repaired(start, rng)
            for _ in range(STEPS if here is not None else 0):
                assert here is not None
                if self.key(here.tolist()) not in self._taken:
                    found: list[int] = here.tolist()
                    return found
                near = within.neighbours(here)
                near = near[within(near)]
                if not len(near):
                    break
                free = self._unseen_of(near)
                choices = free if len(free) else near
                here = choices[int(rng.integers(len(choices)))]
            start = self.space.sample(1, rng)[0]
        return None

    def _single_move(self, candidate: list[int], rng: np.random.Generator) -> list[int] | None:
        """The free candidate one decision away with the smallest step; None where all are taken."""
        row = np.array(candidate, dtype=np.int64)
        columns, choices = self.space.every_choice
        away = np.abs(choices - row[columns])
        steps = np.where(self._ordered[columns], away, np.minimum(away, 1))
        for step in np.unique(steps[steps > 0]).tolist():
            which = rng.permutation(np.flatnonzero(steps == step))
            for first in range(0, len(which), MOVES):
                free = self._unseen_of(self.space.variants(row, which[first : first + MOVES]))
                if len(free):
                    chosen: list[int] = free[0].tolist()
                    return chosen
        return None

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
                if self.key(moved) not in self._taken:
                    return moved
        while True:  # a candidate is left, and this space has many
            sample: list[int] = self.space.sample(1, rng)[0].tolist()
            if self.key(sample) not in self._taken:
                return sample
