"""A network: two features to one score."""

from __future__ import annotations

from torch import Tensor, nn


class Narrow(nn.Module):
    """2-4-1."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 4), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scores [n, 1] of samples [n, 2]."""
        scores: Tensor = self.second(self.first(x).relu())
        return scores
