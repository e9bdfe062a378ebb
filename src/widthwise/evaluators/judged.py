"""The data to judge on: a part of the user's data in blocks, the same samples each time where it matters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np

from widthwise.core.arrays import IntArray
from widthwise.core.errors import UserError
from widthwise.data.blocks import DataBlock, every_few, spread_over
from widthwise.network.reading import Reader

PRUNING_PARTS = 8
LEAST_PART = 64  # samples
SPREAD = 2**31  # from here on blocks of samples from all over are numbered
FEWER = 2**32  # and from here on blocks of some of these
PART = 4  # one of so many of the samples are these, but at least LEAST
LEAST = 128

Numbered = tuple[int, DataBlock]


class JudgedData:
    """What a loader gives, at most `most` samples, in blocks of `size`; kept where it fits `room` bytes.

    Where the reader keeps batches whole, these are the blocks.
    `check` is called with each block as it is read, and raises UserError for one that can't be judged by.
    """

    def __init__(
        self,
        loader: Callable[[], Any],
        *,
        size: int,
        most: int | None,
        room: int,
        check: Callable[[DataBlock], None],
        reader: Reader,
    ) -> None:
        self._loader, self.size, self._most, self._room = loader, size, most, room
        self._check, self._reader = check, reader
        self._kept: list[DataBlock] | None = None

    @property
    def is_kept(self) -> bool:
        """Whether a block's number means the same samples each time."""
        return self._kept is not None

    @cached_property
    def total(self) -> int:
        """Samples in all."""
        return sum(map(len, self.blocks()))

    def numbered(self, *, parts: bool) -> Iterator[tuple[int, DataBlock]]:
        """Blocks with numbers that tell them apart, also from parts of them: from 0, and down from -1."""
        if parts:
            return zip(count(-1, -1), self._parts())
        return enumerate(self.blocks())

    def _parts(self) -> Iterator[DataBlock]:
        """The data in at least PRUNING_PARTS parts, so that a candidate can be stopped early; or batches."""
        if self._reader.whole_because:
            yield from self.blocks()
            return
        size = min(self.size, max(LEAST_PART, -(-self.total // PRUNING_PARTS)))
        for block in self.blocks():
            for start in range(0, len(block), size):
                yield block.part(start, start + size)

    def spread(self, most: int) -> list[tuple[int, DataBlock]]:
        """Up to `most` samples from all over the data in numbered blocks: all blocks as they are, if few."""
        if self.total <= most and self._kept is not None:
            return list(enumerate(self._kept))
        if self._reader.whole_because:
            found = every_few(list(self.blocks()), most)
        else:
            found = spread_over(self.blocks(), self.total, most, size=self.size)
        return [(SPREAD + number, block) for number, block in enumerate(found)]

    def fewer(self, blocks: Sequence[Numbered]) -> tuple[list[Numbered], IntArray]:
        """One of PART of the samples of blocks, from all over, in blocks; and which they are, [samples]."""
        import torch

        total = sum(len(block) for _, block in blocks)
        spread = np.linspace(0, total - 1, min(total, max(LEAST, total // PART)))
        wanted = np.unique(spread.round().astype(np.int64))
        starts = np.cumsum([0, *(len(block) for _, block in blocks)])
        if self._reader.whole_because:
            kept = range(0, len(blocks), PART)
            samples = [np.arange(starts[place], starts[place + 1]) for place in kept]
            return [blocks[place] for place in kept], np.concatenate(samples)
        found = []
        for (number, block), start in zip(blocks, starts.tolist(), strict=False):
            here = wanted[(wanted >= start) & (wanted < start + len(block))] - start
            if len(here):
                found.append((FEWER + number, block.chosen(torch.from_numpy(here))))
        return found, wanted

    def blocks(self) -> Iterator[DataBlock]:
        """All of it, in order."""
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[DataBlock] | None = []
        room = self._room
        for block in self._reader.blocks(self._loader(), samples=self.size, most=self._most):
            room -= block.nbytes
            kept = [*kept, block] if kept is not None and room >= 0 else None
            self._check(block)
            yield block
        if kept == []:
            raise UserError("the data has no samples to judge networks on; give the split a share")
        self._kept = kept
