"""A strategy that begins with given candidates, and learns from them before it proposes others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.spaces.space import Key, Space
from widthwise.spaces.within import Within
from widthwise.strategies.protocol import Expects, KeepsWithin, Strategy


class Opening:
    """Proposes the candidates `first` [U, D], in their order, and then what `inner` proposes.

    `inner` is told of them as of any, before it is asked. What was told already is not proposed again. A
    stored search that did not begin with them goes on without them, as it would have.
    """

    def __init__(self, inner: Strategy, space: Space, first: IntArray) -> None:
        self.batch, self.learns = inner.batch, inner.learns
        self._inner, self._space = inner, space
        self._left = dict(zip(space.keys(first), first, strict=True))
        self._pending: set[Key] = set()  # of the first, what was proposed and not told of

    def keep_within(self, within: Within) -> None:
        """Begins with those within these bounds alone; the inner strategy is told of them, if it can be."""
        if self._left:
            inside = within(np.array(list(self._left.values())))
            kept = [item for item, stays in zip(self._left.items(), inside, strict=True) if stays]
            self._left = dict(kept)
        if isinstance(self._inner, KeepsWithin):
            self._inner.keep_within(within)

    @property
    def finished(self) -> str | None:
        """Why nothing more comes; None while some of the first do."""
        return None if self._left or self._pending else self._inner.finished

    def ask(self, n: int) -> IntArray:
        """Up to n candidates [k, D]: of the first while there are some, none until these are told of."""
        if n < 1 or (self._pending and not self._left):
            return self._space.at([])
        if self._left:
            taken = list(self._left)[:n]
            self._pending.update(taken)
            return np.array([self._left.pop(key) for key in taken])
        return self._inner.ask(n)

    def expected(self, candidates: IntArray) -> FloatArray:
        """Values [k, objectives] that the inner strategy expects of what it proposed; of the first none."""
        if isinstance(self._inner, Expects):
            return self._inner.expected(candidates)
        return np.full((len(candidates), 1), np.nan)

    def tell(self, candidates: IntArray, values: FloatArray) -> None:
        """Results [k, objectives] of candidates [k, D], passed on."""
        for key in self._space.keys(candidates):
            self._left.pop(key, None)
            self._pending.discard(key)
        self._inner.tell(candidates, values)

    def replay(self, batches: Iterable[tuple[IntArray, FloatArray]]) -> None:
        """Tells of the first again; the inner strategy replays the rest."""
        rest = self._after_the_first(batches)
        self._inner.replay(rest)
        for _ in rest:  # it need not read to the end
            pass

    def _after_the_first(
        self, batches: Iterable[tuple[IntArray, FloatArray]]
    ) -> Iterator[tuple[IntArray, FloatArray]]:
        for candidates, values in batches:
            if len(candidates) and self._left.keys() >= set(self._space.keys(candidates)):
                self.tell(candidates, values)
                continue
            self._left = {}
            yield candidates, values
