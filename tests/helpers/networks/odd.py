"""Networks that tempt to share what must not be shared, and one that fails with few bits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn


class Layers(nn.Module):
    """What the networks below are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.tail = nn.Linear(4, 3)
        self.act, self.drop = nn.ReLU(inplace=True), nn.Dropout(0.5)


class PartOfASplit(Layers):
    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        left, right = y.split(4, 1)
        left.add_(right)
        return self.last(y)


class View(Layers):
    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        y.view(-1, 2, 4).relu_()
        return self.last(y)


class ViewOfWhatChanges(Layers):
    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        z = y.view(-1, 8)
        y.relu_()
        return self.last(z)


class SameTensorTwice(Layers):
    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        z = self.act(self.drop(y))  # dropout gives y itself in eval mode
        return self.last(z + y)


class Out(Layers):
    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        z = self.second(y)
        torch.add(y, z, out=z)
        return self.last(z)


class OwnInput(Layers):
    def forward(self, x: Tensor) -> Tensor:
        x[:, 0] = x[:, 0] * 0.5  # captured at module level
        return self.last(self.first(x))


class NumberReadOut(Layers):
    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        half = y.abs().mean().item() / 2
        return self.last(y / (half + y.abs().max().item()))


class Shapes(Layers):
    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        return self.last(y.reshape(y.shape[0], y.size(1) // 2, 2).transpose(1, 2).reshape(len(x), -1))


class TupleIntoEinsum(Layers):
    def forward(self, x: Tensor) -> Tensor:
        return self.tail(torch.einsum("bi,bi->bi", self.first(x).chunk(2, 1)))


class LastLayerGivesATuple(Layers):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(3, 1)

    def forward(self, x: Tensor) -> Any:
        y = self.last(self.first(x))
        return self.attention(y, y, y)


class NormOfTheBatch(nn.Module):
    """A batch norm without statistics of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4, track_running_stats=False)
        self.last = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.norm(self.conv(x.unsqueeze(1)))).flatten(1))


TRACEABLE: list[type[nn.Module]] = [
    PartOfASplit,
    View,
    ViewOfWhatChanges,
    SameTensorTwice,
    Out,
    NumberReadOut,
    TupleIntoEinsum,
    NormOfTheBatch,
]
UNTRACEABLE: list[type[nn.Module]] = [OwnInput, Shapes, LastLayerGivesATuple]


class Refusing(nn.Module):
    """Raises where its input is coarse."""

    def forward(self, x: Tensor) -> Tensor:
        if (x == x.round()).all():
            raise RuntimeError("too coarse\nby far")
        return x


class Choosy(nn.Module):
    """Fails with few bits in front of it."""

    def __init__(self) -> None:
        super().__init__()
        self.act, self.refusing, self.last = nn.ReLU(), Refusing(), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.refusing(self.act(x)))


class ChoosyTracer(fx.Tracer):
    """Takes Refusing as it is."""

    def is_leaf_module(self, m: nn.Module, name: str) -> bool:
        return isinstance(m, Refusing) or super().is_leaf_module(m, name)
