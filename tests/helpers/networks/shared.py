"""Networks in which several layers read one stored weight; three classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class Twice(nn.Module):
    """A layer used twice: 36 weights, and 18 in the head."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 6, bias=False), nn.Linear(6, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.relu(self.a(F.relu(self.a(x)))))


class ThreeTimes(Twice):
    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = F.relu(self.a(x))
        return self.b(x)


class TwoNames(nn.Module):
    """A module registered under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 6, bias=False), nn.Linear(6, 3, bias=False)
        self.again = self.a

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.relu(self.again(F.relu(self.a(x)))))


class TwoModules(nn.Module):
    """Two modules with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.again = nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)
        self.b = nn.Linear(6, 3, bias=False)
        self.again.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.relu(self.again(F.relu(self.a(x)))))


class ByFunctionToo(nn.Module):
    """A module's weight, which a function reads too."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 6, bias=False), nn.Linear(6, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.relu(F.linear(F.relu(self.a(x)), self.a.weight)))


class Transposed(nn.Module):
    """An autoencoder with tied weights: the way back is the transposed one."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 6, bias=False), nn.Linear(6, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.linear(F.relu(self.a(x)), self.a.weight.t()))


class InList(nn.Module):
    """One block, three times in a list."""

    def __init__(self) -> None:
        super().__init__()
        block = nn.Sequential(nn.Linear(6, 6, bias=False), nn.ReLU())
        self.blocks, self.b = nn.ModuleList([block] * 3), nn.Linear(6, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.b(x)


class TiedHead(nn.Module):
    """An embedding whose table is the head's weight, then a choice of three: 60 and 30 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.emb, self.head = nn.Embedding(10, 6), nn.Linear(6, 10, bias=False)
        self.head.weight = self.emb.weight
        self.out = nn.Linear(10, 3, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        return self.out(torch.tanh(self.head(self.emb(ids).mean(1))))


class TiedByFunction(nn.Module):
    """The same, its head by a function."""

    def __init__(self) -> None:
        super().__init__()
        self.emb, self.out = nn.Embedding(10, 6), nn.Linear(10, 3, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        return self.out(torch.tanh(F.linear(self.emb(ids).mean(1), self.emb.weight)))


class TiedByMatmul(TiedByFunction):
    def forward(self, ids: Tensor) -> Tensor:
        return self.out(torch.tanh(self.emb(ids).mean(1) @ self.emb.weight.T))


class SharedBias(nn.Module):
    """Two layers with a bias in common, and weights of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.c, self.b = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.c.bias = self.a.bias

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.relu(self.c(F.relu(self.a(x)))))
