"""Networks that take sequences: attention of every kind."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Attention(nn.Module):
    """Tokens [n, t, 6] through self-attention, a norm and a product of two results."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.norm, self.mix, self.last = nn.LayerNorm(6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        attended, _ = self.attention(x, x, x, need_weights=False)
        x = self.norm(x + attended)
        scores = torch.softmax(torch.bmm(x, self.mix(x).transpose(1, 2)), dim=-1)
        return self.last(torch.matmul(scores, x).mean(dim=1))


class TokenAttention(nn.Module):
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


class Transformer(nn.Module):
    """Embedding, a parameter of positions, one encoder layer, mean over the sequence, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 16)
        self.positions = nn.Parameter(torch.randn(1, 16, 16))
        self.encoder = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.1, batch_first=True)
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        embedded = self.embedding(x) + self.positions[:, : x.shape[1]]
        return self.head(self.encoder(embedded).mean(1))
