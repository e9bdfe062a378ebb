"""Uniform random candidates, none of them twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.spaces.within import Within
from widthwise.strategies.protocol import Setting, ask_and_tell
from widthwise.strategies.seen import Seen

PERMUTED = 2**20  # spaces up to this size are shuffled as a whole
BLOCK = 1024  # candidates drawn at once: what is proposed does not depend on how many are asked for
BARREN = 10  # blocks in a row with nothing new within bounds, after which what is drawn is moved within them


class Random:
    """Uniform candidates without repeats, from spaces of any size.

    Spaces of up to `permuted` candidates are shuffled once. In larger ones candidates are drawn and repeats
    thrown away, until half the space is taken; then what is left is shuffled. With bounds candidates are
    uniform over those within them, except where fewer than one in thousands is: then random ones are changed
    until they are within.
    """

    learns = True  # nothing but what is taken; still, what is drawn is no enumeration to be asked again

    def __init__(self, setting: Setting, *, permuted: int = PERMUTED) -> None:
        self.batch = BLOCK
        self._permuted = permuted
        self._space = setting.space
        self._rng = np.random.default_rng(setting.seed)
        self._seen = Seen(setting.space)
        self._drawn: deque[int] = deque()
        self._last: IntArray | None = None
        self._within: Within | None = None
        self._barren = 0  # blocks in a row without a new candidate within bounds

    def keep_within(self, within: Within) -> None:
        """Propose candidates within these bounds alone."""
        self._within = within
        self._seen.keep_within(within)

    @property
    def finished(self) -> str | None:
        """Why nothing more comes, once everything was proposed."""
        return self._seen.exhausted

    def ask(self, n: int) -> IntArray:
        """n candidates [k, D]; fewer where fewer are left."""
        positions: list[int] = []
        while len(positions) < n and self._seen.left > 0:
            if not self._drawn:
                self._draw()
                continue
            position = self._drawn.popleft()
            if self._seen.take(position):
                positions.append(position)
        self._last = self._space.at(positions)
        return self._last

    def tell(self, candidates: IntArray, values: FloatArray) -> None:
        """Nothing is learned from values; candidates from elsewhere will not be proposed again."""
        del values
        if self._last is None or not np.array_equal(candidates, self._last):
            for position in self._space.positions(candidates):
                self._seen.take(position)

    def replay(self, batches: Iterable[tuple[IntArray, FloatArray]]) -> None:
        """Go to where the one told these stood: asked and told again."""
        ask_and_tell(self, batches)

    def _draw(self) -> None:
        size = self._space.size
        if self._within is not None:
            self._draw_within(self._within)
        elif size <= self._permuted:
            self._drawn.extend(self._rng.permutation(size).tolist())
        elif len(self._seen) <= size // 2:
            self._drawn.extend(self._space.positions(self._space.sample(BLOCK, self._rng)))
        else:  # the set of what is taken is as large already as the list of what is left
            left = [position for position in range(size) if position not in self._seen]
            self._drawn.extend(left[index] for index in self._rng.permutation(len(left)).tolist())

    def _draw_within(self, within: Within) -> None:
        if within.listed is not None:
            self._drawn.extend(self._rng.permutation(within.listed).tolist())
            return
        sample = self._space.sample(BLOCK, self._rng)
        if self._barren < BARREN:
            drawn = [at for at in self._space.positions(sample[within(sample)]) if at not in self._seen]
            self._barren = 0 if drawn else self._barren + 1
            self._drawn.extend(drawn)
        elif (moved := self._seen.nearest_unseen(sample[0].tolist(), self._rng)) is not None:
            self._drawn.append(self._seen.position(moved))
