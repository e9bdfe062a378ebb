"""A data set: points of two half moons, and on which of them each lies, -1 or 1."""

from __future__ import annotations

import torch
from torch import Tensor


class Moons:
    """Batches of points [n, 2] with sides [n]; 200 for training, 100 to validate and to test."""

    note = "moons: 400 points of two half moons"

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        angles = torch.rand(400, generator=generator) * torch.pi
        sides = torch.randint(0, 2, (400,), generator=generator) * 2.0 - 1
        x = angles.cos() * sides + 0.5 * (1 - sides) / 2
        y = angles.sin() * sides + 0.25 * (1 - sides) / 2
        noise = 0.1 * torch.randn((400, 2), generator=generator)
        self.points, self.sides = torch.stack([x, y], 1) + noise, sides

    def train_dataloader(self) -> list[tuple[Tensor, Tensor]]:
        """In batches of 50."""
        return self._batches(0, 200)

    def val_dataloader(self) -> list[tuple[Tensor, Tensor]]:
        """As one batch."""
        return self._batches(200, 300)

    def test_dataloader(self) -> list[tuple[Tensor, Tensor]]:
        """As one batch."""
        return self._batches(300, 400)

    def _batches(self, start: int, stop: int) -> list[tuple[Tensor, Tensor]]:
        cut = slice(start, stop)
        return list(zip(self.points[cut].split(50), self.sides[cut].split(50), strict=True))


def moons() -> Moons:
    """The data module; what an entry point of data names is called without arguments."""
    return Moons()
