"""Networks of sequences: recurrent ones, attention in users' own words, gates, weights of one's own."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Stacked(nn.Module):
    """A recurrent network of two layers between linear ones."""

    def __init__(self, kind: type[nn.RNNBase] = nn.GRU, *, bidirectional: bool = False) -> None:
        super().__init__()
        self.first = nn.Linear(16, 12)
        self.rnn = kind(12, 8, num_layers=2, batch_first=True, bidirectional=bidirectional)
        self.last = nn.Linear(16 if bidirectional else 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        found, _ = self.rnn(self.first(x))
        return self.last(found[:, -1])


class Stepped(nn.Module):
    """A cell called step by step."""

    def __init__(self, kind: type[nn.RNNCellBase] = nn.LSTMCell) -> None:
        super().__init__()
        self.cell, self.last = kind(16, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state)
        return self.last(state[0] if isinstance(state, tuple) else state)


class OwnAttention(nn.Module):
    """Heads of one projection of queries, keys and values; their number is an attribute."""

    def __init__(self, *, fused: bool = True) -> None:
        super().__init__()
        self.num_heads, self.fused = 4, fused
        self.embed = nn.Linear(16, 16)
        self.qkv, self.proj = nn.Linear(16, 48), nn.Linear(16, 16)
        self.last = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        batch, length, _ = x.shape
        q, k, v = self.qkv(x).reshape(batch, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        if self.fused:
            found = functional.scaled_dot_product_attention(q, k, v)
        else:
            found = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1) @ v
        return self.last((x + self.proj(found.transpose(1, 2).flatten(2))).mean(1))


class SharedKeys(nn.Module):
    """Two heads of queries for each of keys and values."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 4
        self.q, self.k, self.v = nn.Linear(16, 16), nn.Linear(16, 8), nn.Linear(16, 8)
        self.proj, self.last = nn.Linear(16, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            layer(x).unflatten(-1, (-1, self.width)).transpose(1, 2) for layer in (self.q, self.k, self.v)
        )
        k, v = (
            part[:, :, None].expand(-1, -1, 2, -1, -1).reshape(*q.shape[:2], *part.shape[-2:])
            for part in (k, v)
        )
        found = ((q @ k.mT).softmax(-1) @ v).transpose(1, 2).flatten(2)
        return self.last(torch.relu(self.proj(found)).amax(1))


class Gated(nn.Module):
    """A gate of one linear layer, cut in halves."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.last = nn.Linear(16, 20), nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(functional.glu(self.both(x))).mean(1)


class OwnWeights(nn.Module):
    """Weights that functions read."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.bias = nn.Parameter(torch.randn(8, 16)), nn.Parameter(torch.randn(8))
        self.second = nn.Parameter(torch.randn(3, 8))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(torch.relu(functional.linear(x, self.first, self.bias)), self.second).mean(1)


class RootMeanSquare(nn.Module):
    """A norm in the network's own words."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.scale, self.last = nn.Linear(16, 8), nn.Parameter(torch.ones(8)), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.last(self.scale * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)).mean(1)


class Positions(nn.Module):
    """Learned positions, flattened with the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.positions = nn.Linear(16, 8), nn.Parameter(torch.randn(1, 5, 8))
        self.last = nn.Linear(40, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x) + self.positions).flatten(1))


class SeveralInputs(nn.Module):
    """Two inputs and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(16, 8), nn.Linear(4, 8)
        self.scores, self.boxes = nn.Linear(8, 3), nn.Linear(8, 2)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        found = torch.relu(self.left(x) + self.right(y))
        return self.scores(found), self.boxes(found)


class OfNames(nn.Module):
    """One argument that is a dict of tensors; so is what it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(16, 8), nn.Linear(8, 3)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"logits": self.last(torch.relu(self.first(batch["x"])))}
