"""The candidates of a space that bounds allow, and the nearest of them: nothing is evaluated for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.spaces.space import Space

if TYPE_CHECKING:
    from widthwise.core.arrays import BoolArray

LISTED = 2**18  # spaces up to this size are gone through once, so that what is said of them is certain
MOST_MOVES = 4096  # neighbours looked at in each step
JUMPS = 1000  # changes of several decisions tried where no single one helps
FARTHEST_JUMP = 4
STARTS = 16  # from where candidates within bounds are looked for in larger spaces

Excess = Callable[[IntArray], FloatArray]


class Within:
    """Which candidates of a space are within bounds; called with candidates [K, D] it says which are, [K].

    excess: candidates [K, D] to how far out of bounds each is, [K], 0 within. bounds: how messages call them.
    targeted: whether a form that can't write some is among them. most_listed: the greatest space that is gone
    through once.
    """

    def __init__(
        self,
        space: Space,
        excess: Excess,
        *,
        bounds: str = "",
        targeted: bool = False,
        most_listed: int = LISTED,
    ) -> None:
        self.space, self.excess, self.bounds, self.most_listed = space, excess, bounds, most_listed
        self.targeted = targeted

    def __call__(self, candidates: IntArray) -> BoolArray:
        inside: BoolArray = self.excess(candidates) == 0
        return inside

    @cached_property
    def listed(self) -> IntArray | None:
        """The positions [n] of all candidates within bounds, ascending; None for larger spaces."""
        amounts = self._amounts
        return None if amounts is None else np.flatnonzero(amounts == 0)

    @cached_property
    def nothing(self) -> str | None:
        """Why the bounds leave nothing, where nothing within them is found; certain where it says all."""
        if self.listed is not None:
            if len(self.listed):
                return None
            why = "or can't be written" if self.targeted else "alone"
            return (
                f"all {self.space.size:,} candidates are out of bounds by their costs {why} ({self.bounds})"
            )
        if any((self.excess(ends) == 0).any() for ends in self._descents()):
            return None
        also = ", and that can be written," if self.targeted else ""
        return f"no candidate within the bounds by its costs{also} was found ({self.bounds})"

    def closest(self, count: int) -> IntArray:
        """The candidates least out of bounds, [k, D], nearest first; the nearest found in large spaces."""
        if self._amounts is not None:
            return self.space.at(np.argsort(self._amounts, kind="stable")[:count].tolist())
        ends = np.concatenate(list(self._descents()))
        near = np.unique(np.concatenate([ends, *(self.neighbours(row) for row in ends)]), axis=0)
        return near[np.argsort(self.excess(near), kind="stable")[:count]]

    def neighbours(self, candidate: IntArray) -> IntArray:
        """All candidates [k, D] that differ from one [D] in a single decision."""
        columns, choices = self.space.every_choice
        return self.space.variants(candidate, np.flatnonzero(choices != candidate[columns]))

    def repaired(self, candidate: IntArray, rng: np.random.Generator) -> IntArray | None:
        """A candidate [D] within bounds, few changes away from one that is not; None where none is found.

        Changes single decisions, those that help much more often, until nothing is out of bounds.
        """
        end, amount = self._descended(candidate, rng)
        return end if amount == 0 else None

    def _descended(self, candidate: IntArray, rng: np.random.Generator) -> tuple[IntArray, float]:
        """Where single changes lead that lessen the excess, and the excess there."""
        here, amount = candidate, float(self.excess(candidate[None])[0])
        while amount > 0:
            near = self.neighbours(here)
            if len(near) > MOST_MOVES:
                near = near[rng.choice(len(near), MOST_MOVES, replace=False)]
            amounts = self.excess(near)
            if not (amounts < amount).any():
                near = self._jumps(here, rng)
                amounts = self.excess(near)
            if not (amounts < amount).any():
                break
            row = self._choice(here, near, amounts, amount, rng)
            here, amount = near[row], float(amounts[row])
        return here, amount

    def _choice(
        self, here: IntArray, near: IntArray, amounts: FloatArray, amount: float, rng: np.random.Generator
    ) -> int:
        """The row with the smallest step of those within bounds; else one by how much it helps."""
        inside = np.flatnonzero(amounts == 0)
        if len(inside):
            steps = np.abs(near[inside] - here).sum(axis=1)
            smallest = inside[steps == steps.min()]
            return int(smallest[rng.integers(len(smallest))])
        gains = np.maximum(amount - amounts, 0)
        if not np.isfinite(gains).all():
            return int(np.argmin(amounts))
        return int(rng.choice(len(near), p=gains / gains.sum()))

    def _jumps(self, here: IntArray, rng: np.random.Generator) -> IntArray:
        """Candidates [JUMPS, D] with a few decisions drawn anew."""
        decisions = len(self.space.decisions)
        shares = rng.integers(2, FARTHEST_JUMP + 1, size=(JUMPS, 1)) / max(decisions, FARTHEST_JUMP)
        changed = rng.random((JUMPS, decisions)) < shares
        return np.where(changed, self.space.sample(JUMPS, rng), here)

    def _descents(self) -> Iterator[IntArray]:
        """Ends [1, D] of descents from the first choices, the last choices and random ones; none twice."""
        rng = np.random.default_rng(0)
        ends = self.space.cardinalities - 1
        for start in (np.zeros_like(ends), ends, *self.space.sample(STARTS - 2, rng)):
            yield self._descended(start, rng)[0][None]

    @cached_property
    def _amounts(self) -> FloatArray | None:
        """The excess of every candidate, [size]; None for spaces that are not listed."""
        if self.space.size > self.most_listed:
            return None
        return np.concatenate([self.excess(chunk) for chunk in self.space.enumerate()])
