"""Networks of different shapes, for tests that go over all of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


class Residual(nn.Module):
    """A convolution beside which the input goes on, a norm, pooling, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.norm(self.conv(x)) + x)
        return self.head(self.pool(x).flatten(1))


class Concat(nn.Module):
    """Two branches side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(6, 4)
        self.right = nn.Linear(6, 3)
        self.head = nn.Linear(7, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.cat([self.left(x).tanh(), self.right(x).sigmoid()], dim=1))


class Shared(nn.Module):
    """One linear layer that is used twice, and one parameter of the network's own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 5)
        self.act = nn.ReLU()
        self.gain = nn.Parameter(torch.full((5,), 0.7))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.act(self.layer(x))) * self.gain


class Attention(nn.Module):
    """Tokens through an embedding, attention to themselves, a norm, and the mean over them."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        y, _ = self.attend(x, x, x, need_weights=False)
        return self.head(self.norm(x + y).mean(1))


class HandMade(nn.Module):
    """Attention written out: matrix products, a softmax, a quotient."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(6, 6)
        self.key = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        scores = torch.matmul(self.query(x), self.key(x).transpose(1, 2)) / 6**0.5
        return torch.bmm(torch.softmax(scores, dim=-1), x).sum(1) - x[:, 0]


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


def tokens(samples: int) -> Tensor:
    """Token numbers [samples, 7] below 11."""
    return torch.randint(0, 11, (samples, 7), generator=torch.Generator().manual_seed(0))


def normal(*shape: int) -> Callable[[int], Tensor]:
    """Standard normal samples of this shape."""
    return lambda samples: torch.randn(samples, *shape, generator=torch.Generator().manual_seed(0))


ARCHITECTURES: dict[str, tuple[Callable[[], nn.Module], Callable[[int], Tensor]]] = {
    "residual": (Residual, normal(3, 6, 6)),
    "concat": (Concat, normal(6)),
    "shared": (Shared, normal(5)),
    "attention": (Attention, tokens),
    "hand_made": (HandMade, normal(4, 6)),
    "untraceable": (Untraceable, normal(5)),
    "transformer": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True),
        normal(3, 8),
    ),
}


def build(name: str) -> nn.Module:
    """The network, with the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return ARCHITECTURES[name][0]().eval()


def inputs(name: str, samples: int = 4) -> Tensor:
    """Inputs for the network."""
    return ARCHITECTURES[name][1](samples)
