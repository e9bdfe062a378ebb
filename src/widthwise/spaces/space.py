"""Decisions and candidates: what a search may choose, as arrays of choice indices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from widthwise.core.arrays import IntArray
from widthwise.core.screen import html_table, one_screen
from widthwise.core.toml import shown_choice

if TYPE_CHECKING:
    from widthwise.spaces.uniform import Uniform

ENUMERATION_CHUNK = 8192
NUMBERED = 2**63 - 1  # candidates of spaces up to this size have positions that fit machine integers

Key = int | bytes
"""What tells candidates of one space apart: positions, or in very large spaces the choices as bytes."""


@dataclass(frozen=True)
class Decision:
    """One variable of a search: a name and the values that it may take."""

    name: str
    choices: tuple[Any, ...]

    @property
    def ordered(self) -> bool:
        """Whether the choices are numbers in ascending order, so that neighbours are alike."""
        numbers = [c for c in self.choices if isinstance(c, int | float) and not isinstance(c, bool)]
        return len(numbers) == len(self.choices) and numbers == sorted(numbers)


@dataclass(frozen=True)
class Space:
    """The decisions of a search; a candidate is a row [D] of choice indices, a batch an array [K, D]."""

    decisions: tuple[Decision, ...]

    @cached_property
    def cardinalities(self) -> IntArray:
        """How many choices each decision has, [D]."""
        return np.array([len(decision.choices) for decision in self.decisions], dtype=np.int64)

    @cached_property
    def size(self) -> int:
        """How many candidates there are."""
        return math.prod(len(decision.choices) for decision in self.decisions)

    @property
    def is_numbered(self) -> bool:
        """Whether positions fit machine integers."""
        return self.size <= NUMBERED

    def sample(self, n: int, rng: np.random.Generator) -> IntArray:
        """Uniform candidates [n, D], drawn with replacement."""
        return rng.integers(0, self.cardinalities, size=(n, len(self.decisions)), dtype=np.int64)

    def enumerate(self, *, start: int = 0, chunk: int = ENUMERATION_CHUNK) -> Iterator[IntArray]:
        """All candidates from position `start` on, in chunks [k, D]; the last decision changes fastest."""
        for first in range(start, self.size, chunk):
            yield self.at(range(first, min(first + chunk, self.size)))

    def at(self, positions: Sequence[int] | IntArray) -> IntArray:
        """The candidates [k, D] at these positions of the enumeration, which may be beyond 2^63."""
        rows = np.empty((len(positions), len(self.decisions)), dtype=np.int64)
        if isinstance(positions, range) and positions.stop <= NUMBERED:
            left = np.arange(positions.start, positions.stop, positions.step)
        else:
            left = np.array(positions, dtype=np.int64 if self.is_numbered else object)
        for column in range(len(self.decisions) - 1, -1, -1):
            count = len(self.decisions[column].choices)
            rows[:, column] = left % count
            left = left // count
        return rows

    def keys(self, candidates: IntArray) -> list[Key]:
        """What tells each of the candidates [K, D] apart from all others of this space."""
        if self.is_numbered:
            return list(self.positions(candidates))
        packed = np.ascontiguousarray(candidates, dtype=np.uint8 if self._narrow else np.uint16)
        return [row.tobytes() for row in packed]

    @cached_property
    def _narrow(self) -> bool:
        return int(self.cardinalities.max(initial=0)) <= 256

    def positions(self, candidates: IntArray) -> list[int]:
        """Where each of the candidates [K, D] stands in the enumeration: a number that identifies it."""
        total = np.zeros(len(candidates), dtype=np.int64 if self.is_numbered else object)
        for column, decision in enumerate(self.decisions):
            total = total * len(decision.choices) + candidates[:, column]
        found: list[int] = total.tolist()
        return found

    @cached_property
    def every_choice(self) -> tuple[IntArray, IntArray]:
        """The decisions' columns [C] and the choices' indices [C] of all choices of all decisions."""
        columns = np.repeat(np.arange(len(self.decisions)), self.cardinalities)
        choices = [np.arange(count) for count in self.cardinalities]
        return columns, np.concatenate([np.arange(0), *choices])

    def variants(self, candidate: IntArray, which: IntArray | None = None) -> IntArray:
        """The candidate [D] with one decision set to each choice, [C, D]; or to those of `every_choice` at
        `which` [k], [k, D]."""
        columns, choices = self.every_choice
        if which is not None:
            columns, choices = columns[which], choices[which]
        rows = np.repeat(candidate[None], len(columns), axis=0)
        rows[np.arange(len(rows)), columns] = choices
        return rows

    @property
    def uniform(self) -> tuple[Uniform, ...]:
        """The schemes that treat every layer alike, in the order to try them, if any."""
        return ()

    def __repr__(self) -> str:
        lines = [f"{name}: {listed}" for name, listed in self._shown()]
        return one_screen([f"{self._title()}:", *(f"  {line}" for line in lines)])

    def _repr_html_(self) -> str:
        return html_table(self._title(), ["decisions", "choices"], self._shown())

    def _title(self) -> str:
        size = f"{self.size:,}" if self.size < 10**12 else f"{float(self.size):.2g}"
        return f"{type(self).__name__} of {size} candidates from {len(self.decisions):,} decisions"

    def _shown(self) -> list[tuple[str, str]]:
        """Names and choices, decisions of one key with the same choices together."""
        groups: dict[tuple[str, str], list[str]] = {}
        for decision in self.decisions:
            listed = ", ".join(map(shown_choice, decision.choices))
            groups.setdefault((decision.name.rpartition("/")[2], listed), []).append(decision.name)
        return [
            (names[0] if len(names) == 1 else f"{key} of {len(names)} ({names[0]} …)", listed)
            for (key, listed), names in groups.items()
        ]

    def chosen(self, candidate: ArrayLike) -> dict[str, Any]:
        """Names to chosen values of one candidate [D]."""
        indices = np.asarray(candidate, dtype=np.int64)
        return {
            decision.name: decision.choices[index]
            for decision, index in zip(self.decisions, indices, strict=True)
        }
