"""Networks that take images, and signals of one dimension."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, relu


class Convolutional(nn.Module):
    """A small CNN with a norm, a residual, pooling and sizes taken from the input."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.pool, self.last = nn.MaxPool2d(2), nn.Linear(4 * 2 * 2, 3)
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        nn.init.normal_(self.norm.running_mean)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.conv1(x)))
        x = self.pool(x + self.conv2(x))
        return self.last(x.view(x.size(0), -1))


class ResidualImage(nn.Module):
    """A convolution beside which the input goes on, a norm, pooling, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = relu(self.norm(self.conv(x)) + x)
        return self.head(self.pool(x).flatten(1))


class Functional(nn.Module):
    """Pooling, activations and flattening as functions with options."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.leaky_relu(self.conv(x), negative_slope=0.25)
        x = nn.functional.max_pool2d(x, 2) + nn.functional.avg_pool2d(x, kernel_size=2)
        return nn.functional.log_softmax(self.last(torch.flatten(x, 1)), dim=1)


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
