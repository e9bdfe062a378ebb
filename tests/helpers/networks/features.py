"""Networks that take rows of features."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """Two branches that meet again, with a functional ReLU and a shared module."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.first(x))
        x = x + self.act(self.second(x))
        return self.last(torch.relu(x))


class Concat(nn.Module):
    """Branches side by side, and arithmetic with numbers and a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.last = nn.Linear(6, 5), nn.Linear(6, 3, bias=False), nn.Linear(8, 3)
        self.scale = nn.Parameter(torch.linspace(0.5, 2, 8))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.left(x).relu(), torch.tanh(self.right(x))], dim=1)
        return self.last(x * self.scale - 0.25)


class Shared(nn.Module):
    """One layer used twice, an activation used three times, and one parameter of the network's own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.twice, self.last = nn.Linear(16, 12), nn.Linear(12, 12), nn.Linear(12, 3)
        self.act = nn.ReLU()
        self.gain = nn.Parameter(torch.full((3,), 0.7))

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.first(x))
        x = self.act(self.twice(self.act(self.twice(x))))
        return self.last(x) * self.gain


class TwoInputs(nn.Module):
    """Two inputs that meet in a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.last = nn.Linear(6, 4), nn.Linear(2, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return self.last(torch.relu(self.a(x) + self.b(z)))


class InPlace(nn.Module):
    """Layers, functions, methods and operators that change what they are given, which others read later."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.act = nn.ReLU(16)  # as in the lab's networks: in place

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        y = self.act(x)
        y = self.second(y + x)
        z = nn.functional.relu(y, inplace=True)
        z += torch.nn.functional.relu(x)
        z.mul_(0.5)
        return self.last(torch.tanh(z + y))


class Gated(nn.Module):
    """Halves of one layer's outputs multiplied: unit i is output i and output n + i."""

    def __init__(self) -> None:
        super().__init__()
        self.both = nn.Linear(16, 24)
        self.hidden = nn.Linear(12, 8)
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.both(x).chunk(2, 1)
        return self.last(torch.tanh(self.hidden(value * gate)))


class Sloped(nn.Module):
    """PReLU with a slope for each channel, then one for all."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.each = nn.Linear(16, 12), nn.PReLU(12)
        self.second, self.one = nn.Linear(12, 8), nn.PReLU()
        self.last = nn.Linear(8, 3)
        nn.init.uniform_(self.each.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.one(self.second(self.each(self.first(x)))))


class Untraceable(nn.Module):
    """Its path depends on the values, so torch.fx can't follow it; one layer runs twice, one never."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(5, 5)
        self.again = nn.Linear(5, 5)
        self.never = nn.Linear(5, 5)
        self.act = nn.ReLU()
        self.bias = nn.Parameter(torch.zeros(5))

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.first(x))
        for _ in range(2):
            x = self.again(x)
        return self.never(x) if x.abs().max() > 1e9 else x + self.bias


class Deciding(nn.Module):
    """A decision on a number read from the data, which fx can't follow."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        return self.b(torch.relu(x) if float(x.sum()) > 1e9 else torch.tanh(x))
