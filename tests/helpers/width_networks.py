"""Networks of every kind that channels go through, each with an input, for the tests of widths."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, relu

from widthwise.network.named import load_model


class Mixed(nn.Module):
    """Residual add, depthwise and grouped convolutions, GroupNorm, concatenation, pooling and flatten."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.inner = nn.Conv2d(8, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.grouped = nn.Conv2d(8, 16, 1, groups=2)
        self.group_norm = nn.GroupNorm(4, 16)
        self.joined = nn.Conv2d(24, 6, 1)
        self.last = nn.Linear(6 * 4, 10)

    def forward(self, x: Tensor) -> Tensor:
        first = relu(self.norm(self.stem(x)))
        added = first + self.depthwise(relu(self.inner(first)))
        grouped = self.group_norm(self.grouped(added))
        joined = self.joined(torch.cat([added, grouped], 1))
        return self.last(adaptive_avg_pool2d(joined, 2).flatten(1))


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


class Shared(nn.Module):
    """One layer used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(16, 12)
        self.twice = nn.Linear(12, 12)
        self.last = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(relu(self.twice(relu(self.twice(relu(self.first(x)))))))


class Transposed(nn.Module):
    """One dimension: a convolution, a depthwise one with two outputs a channel, a grouped transposed one."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(2, 6, 3)
        self.depthwise = nn.Conv1d(6, 12, 3, groups=6)
        self.up = nn.ConvTranspose1d(12, 8, 3, groups=2)
        self.norm = nn.InstanceNorm1d(8, affine=True)
        self.last = nn.Linear(8 * 16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(relu(self.norm(self.up(self.depthwise(self.first(x))))).flatten(1))


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


def images(channels: int, side: int) -> Tensor:
    return torch.randn(4, channels, side, side, generator=torch.Generator().manual_seed(1))


def rows(width: int) -> Tensor:
    return torch.randn(4, width, generator=torch.Generator().manual_seed(1))


CASES: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "mlp": (lambda: load_model("jsc-mlp"), rows(16)),
    "normalised mlp": (lambda: load_model("jsc-toy"), rows(16)),
    "three linear": (lambda: load_model("jsc-three-linear"), rows(16)),
    "cnn": (lambda: load_model("digits-cnn"), images(1, 8)),
    "resnet": (lambda: load_model("resnet8"), images(3, 32)),
    "mixed": (Mixed, images(3, 8)),
    "transformer": (Transformer, torch.randint(0, 20, (4, 10), generator=torch.Generator().manual_seed(1))),
    "gated": (Gated, rows(16)),
    "sloped": (Sloped, rows(16)),
    "shared": (Shared, rows(16)),
    "transposed": (Transposed, torch.randn(4, 2, 18, generator=torch.Generator().manual_seed(1))),
}


def trained_like(model: nn.Module) -> nn.Module:
    """The network in eval mode with batch norms that have seen data, so that they do something."""
    generator = torch.Generator().manual_seed(2)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean = torch.randn(module.num_features, generator=generator) * 0.1
            module.running_var = torch.rand(module.num_features, generator=generator) + 0.5
    return model.eval()
