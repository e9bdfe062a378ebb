"""Trained networks with the data that they are judged on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import widthwise
from widthwise import training
from widthwise.data.modules import Data, load_data
from widthwise.network.named import load_model

SHARED = Path(os.environ.get("WIDTHWISE_SHARED", Path(__file__).parents[3] / "shared"))
JETS = Path(widthwise.__file__).parent / "data" / "jsc_1024.npz"
EPOCHS = 30


@dataclass(frozen=True)
class WholeSet:
    """Every split is the same data: for a network that others trained on other samples."""

    x: torch.Tensor
    y: torch.Tensor

    def train_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        """All samples at once."""
        return DataLoader(TensorDataset(self.x, self.y), batch_size=len(self.x))

    val_dataloader = test_dataloader = train_dataloader


@cache
def jets_mlp() -> tuple[nn.Module, Data]:
    """The hls4ml tutorial's network, trained by others on all jets, and the 1,024 jets."""
    weights_file = SHARED / "data" / "jsc_mlp.npz"
    if not weights_file.exists():
        raise FileNotFoundError(
            f"{weights_file}: not there; set WIDTHWISE_SHARED to the folder with data/jsc_mlp.npz"
        )
    with np.load(weights_file, allow_pickle=False) as weights:
        model = load_model("jsc-mlp")
        model.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights.files})
    return model.eval(), whole_jets()


def whole_jets() -> WholeSet:
    """All 1,024 jets, scaled by the statistics of the full training split."""
    with np.load(JETS, allow_pickle=False) as jets:
        x = (jets["X"] - jets["scaler_mean"]) / jets["scaler_scale"]
        y = jets["y"].astype(np.int64)
    return WholeSet(torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y))


@cache
def trained(model_name: str, data_name: str) -> tuple[nn.Module, Data]:
    """A built-in network, trained here, and its data: judged on the validation part."""
    data = load_data(data_name, seed=0)
    model = load_model(model_name, seed=0)
    training.fit(model, data, epochs=EPOCHS, learning_rate=1e-2, seed=0)
    return model.eval(), data


class Residual(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Conv2d(channels_in, channels, 1, stride=stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[n, channels_in, h, w] to [n, channels, h / stride, w / stride]."""
        y = self.second_norm(self.second(torch.relu(self.first_norm(self.first(x)))))
        return torch.relu(y + self.shortcut(x))


class ResNet8(nn.Module):
    """A convolution, three residual blocks, a linear layer; takes [n, 1, 8, 8]. Source: MLPerf Tiny."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.block1 = Residual(width, width, 1)
        self.block2 = Residual(width, 2 * width, 2)
        self.block3 = Residual(2 * width, 4 * width, 2)
        self.last = nn.Linear(4 * width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores [n, 10]."""
        x = torch.relu(self.norm(self.first(x)))
        x = self.block3(self.block2(self.block1(x)))
        return self.last(x.mean(dim=(2, 3)))


class ResNet20(nn.Module):
    """A convolution, nine residual blocks, a linear layer; takes [n, 1, 8, 8]. Source: He et al. 2016."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        sizes = [(width, width, 1)] * 3
        sizes += [(width, 2 * width, 2), *[(2 * width, 2 * width, 1)] * 2]
        sizes += [(2 * width, 4 * width, 2), *[(4 * width, 4 * width, 1)] * 2]
        self.blocks = nn.Sequential(*(Residual(*size) for size in sizes))
        self.last = nn.Linear(4 * width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores [n, 10]."""
        x = self.blocks(torch.relu(self.norm(self.first(x))))
        return self.last(x.mean(dim=(2, 3)))


@cache
def resnet(blocks: int) -> tuple[nn.Module, Data]:
    """ResNet-8, or ResNet-20 with 9 blocks, on digits, trained here."""
    data = load_data("digits", seed=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ResNet8() if blocks == 3 else ResNet20()
    training.fit(model, data, epochs=EPOCHS // 2, learning_rate=1e-2, seed=0)
    return model.eval(), data
