"""Which channels of its old side a resized side has, and how readers share out a unit that was split."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

FRESH = -1  # no old channel: a new unit


@dataclass(frozen=True, eq=False)
class Channels:
    """A side of a layer after resizing: for each new channel the old one, [new] int64, FRESH for a new unit.

    Where `split`, an old channel may stand there several times, and readers give each copy its share.
    """

    index: Tensor
    split: bool = False

    @property
    def size(self) -> int:
        """How many channels the side has."""
        return len(self.index)

    @property
    def fresh(self) -> Tensor:
        """Which of them are new units, [new] bool."""
        return self.index < 0

    def take(self, values: Tensor, axis: int) -> Tensor:
        """The values of these channels along an axis; those of new units are meaningless."""
        return values.index_select(axis, self.index.clamp(min=0).to(values.device))

    def shares(self, rows: int, generator: torch.Generator) -> Tensor:
        """What each copy gets of its unit's weight, [rows, new]: random, adding up to 1 over a unit's copies.

        Unequal shares let the copies go separate ways in training.
        """
        index = self.index.clamp(min=0)
        drawn = torch.rand((rows, self.size), generator=generator) + 0.5
        total = torch.zeros((rows, int(index.max()) + 1)).index_add_(1, index, drawn)
        return drawn / total[:, index]


def kept(size: int) -> Channels:
    """A side that stays as it is."""
    return Channels(torch.arange(size))
