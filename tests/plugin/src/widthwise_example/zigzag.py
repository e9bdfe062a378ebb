"""A strategy: the first candidate, the last, the second, the last but one …"""

from __future__ import annotations

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.spaces.space import Space


class Zigzag:
    """Goes through the space from both ends."""

    batch = 16

    def __init__(self, space: Space) -> None:
        self.space, self.asked = space, 0

    def ask(self, n: int) -> IntArray:
        """The next n candidates, [k, D]."""
        last = min(self.asked + n, self.space.size)
        turns = range(self.asked, last)
        self.asked = last
        return self.space.at([k // 2 if k % 2 == 0 else self.space.size - 1 - k // 2 for k in turns])

    def tell(self, candidates: IntArray, values: FloatArray) -> None:
        """Learns nothing."""
