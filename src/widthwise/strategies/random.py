"""Uniform random candidates, none of them twice."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.counting import count_text
from widthwise.spaces.space import Key
from widthwise.spaces.within import Within
from widthwise.strategies.numbered import generator
from widthwise.strategies.protocol import Setting, together
from widthwise.strategies.seen import Seen
from widthwise.strategies.shuffle import LISTED, Order, shuffled

BLOCK = 1024  # candidates looked at together: what is proposed does not depend on how many are asked for
BARREN = 10 * BLOCK  # candidates in a row out of bounds, after which what is drawn is moved within them


class Random:
    """Uniform candidates without repeats, from spaces of any size.

    They come from one random order of the space (see `shuffled`), so the state is a number. With bounds they
    are those of the order that are within them, except where fewer than one in thousands is: then random
    ones are changed until they are within. listed: as for `shuffled`.
    """

    learns = True  # nothing but what is taken; still, what is drawn is no enumeration to be asked again

    def __init__(self, setting: Setting, *, listed: int = LISTED) -> None:
        self.batch = BLOCK
        self._space, self._seed = setting.space, setting.seed
        self._order: Order = shuffled(setting.space, setting.seed, listed=listed)
        self._size = setting.space.size  # of the order
        self._next = 0  # in the order
        self._proposed = 0
        self._skipped: set[Key] = set()  # told from elsewhere
        self._last: IntArray | None = None
        self._within: Within | None = None
        self._moving: Seen | None = None  # what is taken, where bounds are kept to without a list
        self._barren = 0  # candidates of the order in a row that were out of bounds

    def keep_within(self, within: Within) -> None:
        """Propose candidates within these bounds alone."""
        self._within = within
        if within.listed is None:
            self._moving = Seen(self._space)
            self._moving.keep_within(within)
            return
        listed = np.random.default_rng([self._seed, 0]).permutation(within.listed)
        self._order, self._size = lambda numbers: self._space.at(listed[numbers]), len(listed)

    @property
    def finished(self) -> str | None:
        """Why nothing more comes, once everything was proposed."""
        if self._moving is not None:
            return self._moving.exhausted
        if self._next < self._size:
            return None
        if self._within is None:
            return f"all {count_text(self._size)} candidates proposed"
        return self._within.nothing or (
            f"all {self._size:,} candidates within the bounds proposed ({self._within.bounds})"
        )

    def ask(self, n: int) -> IntArray:
        """n candidates [k, D]; fewer where fewer are left."""
        parts = [self._space.at([])]
        wanted = n
        while wanted > 0 and self.finished is None:
            drawing = self._barren < BARREN and self._next < self._size
            found = self._drawn(wanted) if drawing else self._moved()
            if self._moving is not None:
                self._moving.take_all(found)
            self._proposed += len(found)
            wanted -= len(found)
            parts.append(found)
        self._last = np.concatenate(parts)
        return self._last

    def tell(self, candidates: IntArray, values: FloatArray) -> None:
        """Nothing is learned from values; candidates from elsewhere will not be proposed again."""
        del values
        if self._last is None or not np.array_equal(candidates, self._last):
            self._skipped.update(self._space.keys(candidates))
            if self._moving is not None:
                self._moving.take_all(candidates)

    def replay(self, batches: Iterable[tuple[IntArray, FloatArray]]) -> None:
        """Go to where the one told these stood: many are asked for at once, which proposes the same."""
        for candidates, _ in together(batches):
            proposed = self.ask(len(candidates))
            if not np.array_equal(proposed, candidates):
                self._skipped.update(set(self._space.keys(candidates)) - set(self._space.keys(proposed)))

    def _drawn(self, most: int) -> IntArray:
        """Up to `most` of the next candidates of the order, [k, D]; none where a block has none."""
        block = max(BLOCK, most) if self._moving is None else min(BLOCK, BARREN - self._barren)
        stop = min(self._next + block, self._size)
        rows = self._order(np.arange(self._next, stop))
        free = np.ones(len(rows), dtype=bool)
        if self._moving is not None and self._within is not None:
            free = self._within(rows)
        if self._skipped:
            free &= np.array([key not in self._skipped for key in self._space.keys(rows)], dtype=bool)
        chosen = np.flatnonzero(free)[:most]
        used = int(chosen[-1]) + 1 if len(chosen) == most else len(rows)
        self._next += used
        if self._moving is not None:
            self._barren = self._barren + used if not len(chosen) else used - 1 - int(chosen[-1])
        return rows[chosen]

    def _moved(self) -> IntArray:
        """A random candidate, moved within the bounds; none where there is none, which ends the search."""
        assert self._moving is not None
        rng = generator(self._seed, self._proposed, stream=1)
        drawn = self._space.sample(1, rng)[0].tolist()
        moved = self._moving.nearest_unseen(drawn, rng)
        return self._space.at([]) if moved is None else np.array([moved], dtype=np.int64)
