"""Data with a label for each place of a sample, and small networks that learn it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Stripes:
    """Images [1, 6, 6] of noise, four classes of pixels by brightness; the edge is left out."""

    note = "stripes"

    def __init__(self, samples: int = 60) -> None:
        generator = torch.Generator().manual_seed(0)
        self.x = torch.rand(samples, 1, 6, 6, generator=generator)
        self.y = (self.x[:, 0] * 4).long().clamp(max=3)
        self.y[:, 0] = -100

    def train_dataloader(self) -> list[tuple[Tensor, Tensor]]:
        return list(zip(self.x.split(16), self.y.split(16), strict=True))

    val_dataloader = test_dataloader = train_dataloader


def segmenting() -> nn.Sequential:
    """Scores of four classes for each pixel."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Conv2d(8, 4, 1))


class Counting:
    """Tokens [5] of a vocabulary of 7 that count on from a number; the last is left out."""

    note = "counting"

    def __init__(self, samples: int = 60) -> None:
        first = torch.randint(7, (samples, 1), generator=torch.Generator().manual_seed(0))
        self.x = (first + torch.arange(5)) % 7
        self.y = (self.x + 1) % 7
        self.y[:, -1] = -100

    def train_dataloader(self) -> list[tuple[Tensor, Tensor]]:
        return list(zip(self.x.split(16), self.y.split(16), strict=True))

    val_dataloader = test_dataloader = train_dataloader


def speaking() -> nn.Sequential:
    """Scores of seven tokens for each position."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(7, 12), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 7))
