"""The schemes that each step of a shared network's training computes with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.metrics.cost.counts import FLOAT_BITS
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.slots import Slot, slot_choices


@dataclass(frozen=True, eq=False)
class Draw:
    """The schemes of a step: the widest, the narrowest, and others from its seed and number."""

    space: QuantisationSpace
    slots: Sequence[Slot]
    ends: IntArray  # [2, D]
    seed: int
    random: int

    @classmethod
    def of(cls, space: QuantisationSpace, slots: Sequence[Slot], seed: int, random: int) -> Draw:
        ends = np.stack([_end(space, slots, 1), _end(space, slots, -1)])
        return cls(space, slots, ends, seed, random)

    def __call__(self, number: int) -> IntArray:
        drawn = self.space.sample(self.random, np.random.default_rng([self.seed, number]))
        return slot_choices(self.slots, np.concatenate([self.ends, drawn]))


def _end(space: QuantisationSpace, slots: Sequence[Slot], sign: int) -> IntArray:
    """The candidate [D] with the most bits of all tensors together, or the fewest (sign -1): no single other
    choice has more."""
    bits = [np.array([FLOAT_BITS if fmt is None else fmt.bits for fmt in slot.formats]) for slot in slots]

    def worth(candidates: IntArray) -> FloatArray:
        chosen = slot_choices(slots, candidates)
        found = np.zeros(len(candidates))
        for place, each in enumerate(bits):
            found += sign * each[chosen[:, place]]
        return found

    best: IntArray = space.at([0])[0]
    while len(space.decisions):
        rows = space.variants(best)
        found = worth(rows)
        if found.max() <= worth(best[None])[0]:
            break
        best = rows[found.argmax()]
    return best
