"""Plain enumeration, streamed: every candidate of a space, or of a grid in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.counting import count_text
from widthwise.core.errors import UserError, unknown
from widthwise.spaces.space import Decision, Space
from widthwise.strategies.protocol import Setting, ask_and_tell

BATCH = 8192


class Enumeration:
    """The candidates made of some choices of each decision, in the order of the space.

    `kept` holds for each decision the choice indices to go through. Memory does not grow with the space: the
    state is one position, and the candidates told of without having been proposed.
    """

    learns = False

    def __init__(self, space: Space, kept: list[IntArray], *, what: str) -> None:
        self.batch = BATCH
        self._grid = Space(
            tuple(
                Decision(decision.name, tuple(decision.choices[index] for index in indices))
                for decision, indices in zip(space.decisions, kept, strict=True)
            )
        )
        self._kept = kept
        self._what = what
        self._next = 0
        self._foreign: set[int] = set()
        self._last: IntArray | None = None

    @property
    def finished(self) -> str | None:
        """Why nothing more comes, once everything was proposed."""
        if self._next + len(self._foreign) < self._grid.size:
            return None
        return f"all {count_text(self._grid.size)} {self._what} proposed"

    def ask(self, n: int) -> IntArray:
        """The next n candidates, [k, D]."""
        parts: list[IntArray] = []
        wanted = n
        while wanted > 0 and self._next < self._grid.size:
            positions: Sequence[int] = range(self._next, min(self._next + wanted, self._grid.size))
            self._next = positions[-1] + 1
            if self._foreign:
                positions = [position for position in positions if position not in self._foreign]
                self._foreign = {position for position in self._foreign if position >= self._next}
            parts.append(self._candidates(positions))
            wanted -= len(positions)
        self._last = np.concatenate(parts) if parts else self._candidates([])
        return self._last

    def tell(self, candidates: IntArray, values: FloatArray) -> None:
        """Nothing is learned from values; candidates from elsewhere will not be proposed again."""
        del values
        if self._last is not None and np.array_equal(candidates, self._last):
            return
        inside, indices = self._on_grid(candidates)
        positions = self._grid.positions(indices[inside])
        self._foreign.update(position for position in positions if position >= self._next)

    def replay(self, batches: Iterable[tuple[IntArray, FloatArray]]) -> None:
        """Go to where the one told these stood: asked and told again."""
        ask_and_tell(self, batches)

    def _candidates(self, positions: Sequence[int]) -> IntArray:
        rows = self._grid.at(positions)
        for column, indices in enumerate(self._kept):
            rows[:, column] = indices[rows[:, column]]
        return rows

    def _on_grid(self, candidates: IntArray) -> tuple[np.ndarray[Any, np.dtype[np.bool_]], IntArray]:
        """Which candidates lie on the grid [K], and their indices into it [K, D]."""
        inside = np.ones(len(candidates), dtype=bool)
        indices = np.zeros_like(candidates)
        for column, kept in enumerate(self._kept):
            found = np.minimum(np.searchsorted(kept, candidates[:, column]), len(kept) - 1)
            inside &= kept[found] == candidates[:, column]
            indices[:, column] = found
        return inside, indices


class BruteForce(Enumeration):
    """Every candidate of the space; the last decision changes fastest."""

    def __init__(self, setting: Setting) -> None:
        space = setting.space
        super().__init__(space, _all_choices(space), what="candidates")


class Grid(Enumeration):
    """Every candidate of a grid in the space.

    The option `points` says how many choices of each decision are taken, evenly spread over its choices with
    the first and the last among them: one number for all decisions or a table {decision: number}; decisions
    that the table leaves out keep all their choices. Without `points` this is brute force.
    """

    def __init__(self, setting: Setting) -> None:
        space, points = setting.space, setting.options.get("points")
        if points is None:
            super().__init__(space, _all_choices(space), what="candidates")
            return
        super().__init__(space, _grid_choices(space, points), what="candidates of the grid")


def _all_choices(space: Space) -> list[IntArray]:
    return [np.arange(count, dtype=np.int64) for count in space.cardinalities]


def _grid_choices(space: Space, points: int | Mapping[str, Any]) -> list[IntArray]:
    if not isinstance(points, Mapping):
        return [_spread(int(count), points) for count in space.cardinalities]
    names = [decision.name for decision in space.decisions]
    for name, number in points.items():
        if name not in names:
            raise unknown("decision", name, names, where="strategy grid: points")
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise UserError(f"strategy grid: points.{name}: is {number!r}; give a whole number of at least 1")
    return [
        _spread(len(decision.choices), points.get(decision.name, len(decision.choices)))
        for decision in space.decisions
    ]


def _spread(count: int, points: int) -> IntArray:
    """`points` of the indices below `count`, evenly spread with both ends; one point is the middle."""
    if points >= count:
        return np.arange(count, dtype=np.int64)
    if points == 1:
        return np.array([(count - 1) // 2], dtype=np.int64)
    return np.linspace(0, count - 1, points).round().astype(np.int64)
