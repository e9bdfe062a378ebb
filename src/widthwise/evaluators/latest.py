"""The networks that were trained of late, kept so that those of the front need not be trained again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from widthwise.network.realised import Realised

KEPT_BYTES = 2**28  # of weights, those of the latest batch aside


class Latest:
    """Realised networks of the latest batch, and of earlier ones while there is room for their weights."""

    def __init__(self, room: int = KEPT_BYTES) -> None:
        self.room = room
        self._kept: OrderedDict[tuple[int, ...], Realised] = OrderedDict()
        self._batch: set[tuple[int, ...]] = set()
        self._bytes = 0

    def begin(self) -> None:
        """A batch begins: what is kept so far may have to go."""
        self._batch.clear()

    def put(self, realised: Realised) -> None:
        """Keep this one, in place of an earlier one of the same candidate."""
        self.drop(realised.candidate)
        self._kept[realised.candidate] = realised
        self._batch.add(realised.candidate)
        self._bytes += _size(realised)
        for candidate in list(self._kept):
            if self._bytes <= self.room or candidate in self._batch:
                break
            self.drop(candidate)

    def get(self, candidate: Iterable[int]) -> Realised | None:
        """That of this candidate [D], if it is kept."""
        return self._kept.get(_key(candidate))

    def drop(self, candidate: Iterable[int]) -> None:
        """Keep it no longer."""
        found = self._kept.pop(_key(candidate), None)
        if found is not None:
            self._bytes -= _size(found)


def _key(candidate: Iterable[int]) -> tuple[int, ...]:
    return tuple(int(index) for index in candidate)


def _size(realised: Realised) -> int:
    return sum(tensor.nbytes for tensor in (realised.weights or {}).values())
