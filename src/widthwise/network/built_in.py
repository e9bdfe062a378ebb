"""The built-in networks; the blocks in seq_blocks become the nodes seq_blocks_0, seq_blocks_1 and so on."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

RELU_OUTPUT_START = 1.0
TARGET_MEAN, TARGET_DEVIATION = 152.0, 77.0  # of diabetes
CHARACTERS = 36  # of poems


class SequentialNetwork(nn.Module):
    """A network that is one chain of blocks, kept in seq_blocks."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.seq_blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Scores [n, classes] of samples x [n, ...]."""
        scores: Tensor = self.seq_blocks(x)
        return scores


def linear_norm_relu(*widths: int) -> list[nn.Module]:
    """Linear, BatchNorm and ReLU from each of the widths to the next."""
    blocks: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        blocks += [nn.Linear(fan_in, fan_out), nn.BatchNorm1d(fan_out), nn.ReLU()]
    return blocks


def live_linear(fan_in: int, fan_out: int) -> nn.Linear:
    """A last layer, before a ReLU, whose outputs start above 0.

    An output that starts below 0 for every sample gets no gradient and its class is never learnt, which would
    happen to one or more of five outputs with most seeds.
    """
    linear = nn.Linear(fan_in, fan_out)
    nn.init.constant_(linear.bias, RELU_OUTPUT_START)
    return linear


class Toy(SequentialNetwork):
    """Four numbers, two classes, two hidden layers of 16."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))


class JSC_Toy(SequentialNetwork):
    """Jets: three layers 16-8-8-5, each with normalisation and ReLU. Source: the MASE labs."""

    def __init__(self) -> None:
        super().__init__(nn.BatchNorm1d(16), nn.ReLU(), *linear_norm_relu(16, 8, 8, 5))


class JSC_Tiny(SequentialNetwork):
    """Jets: a single layer 16-5. Source: the MASE labs."""

    def __init__(self) -> None:
        super().__init__(nn.BatchNorm1d(16), nn.ReLU(), live_linear(16, 5), nn.ReLU())


class JSC_S(SequentialNetwork):
    """Jets: 16-64-32-32-32-5 normalised, ReLU. Source: JSC-S of LogicNets (Umuroglu et al. 2020)."""

    def __init__(self) -> None:
        super().__init__(nn.BatchNorm1d(16), nn.ReLU(), *linear_norm_relu(16, 64, 32, 32, 32, 5))


class JSC_Three_Linear_Layers(SequentialNetwork):
    """Jets: 16-16-16-5, the network whose widths the MASE labs search."""

    def __init__(self) -> None:
        super().__init__(
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.Linear(16, 16),
            nn.ReLU(),
            nn.Linear(16, 16),
            nn.ReLU(),
            live_linear(16, 5),
            nn.ReLU(),
        )


class JSC_MLP(nn.Module):
    """Jets: 16-64-32-32-5 on standardised features. Source: Duarte et al. 2018, as in hls4ml's tutorial."""

    def __init__(self) -> None:
        super().__init__()
        self.layer0 = nn.Linear(16, 64)
        self.relu0 = nn.ReLU()
        self.layer1 = nn.Linear(64, 32)
        self.relu1 = nn.ReLU()
        self.layer2 = nn.Linear(32, 32)
        self.relu2 = nn.ReLU()
        self.layer3 = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Scores [n, 5] of jets x [n, 16]."""
        x = self.relu0(self.layer0(x))
        x = self.relu1(self.layer1(x))
        x = self.relu2(self.layer2(x))
        scores: Tensor = self.layer3(x)
        return scores


class DigitsCNN(SequentialNetwork):
    """Digits: two convolutions that halve the image, then one linear layer; takes [n, 1, 8, 8]."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64, 10),
        )


class DigitsMLP(SequentialNetwork):
    """Digits: 64-32-32-10; takes [n, 1, 8, 8] and [n, 64] alike."""

    def __init__(self) -> None:
        super().__init__(
            nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10)
        )


class DigitsTraits(SequentialNetwork):
    """Digits: 64-32-4, a logit for each of four traits."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4))


class DigitsMasks(SequentialNetwork):
    """Digits: three convolutions that see 11 x 11 pixels, then scores [11, 8, 8] of each pixel's classes."""

    def __init__(self) -> None:
        super().__init__(
            *conv_norm_relu(1, 16),
            *conv_norm_relu(16, 16, dilation=2),
            *conv_norm_relu(16, 16, dilation=2),
            nn.Conv2d(16, 11, 1),
        )


class Diabetes(SequentialNetwork):
    """Diabetes: 10-32-16-1, whose outputs start about where the targets are: 152, give or take 77."""

    def __init__(self) -> None:
        last = nn.Linear(16, 1)
        with torch.no_grad():
            last.weight *= TARGET_DEVIATION
            last.bias.fill_(TARGET_MEAN)
        super().__init__(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), last)


class BreastCancer(SequentialNetwork):
    """Breast cancer: 30-16-8-1, the logit of benign."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 1))


class Poems(nn.Module):
    """Characters: an embedding, two convolutions that see 9 characters back, scores of the next."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(CHARACTERS, 16)
        self.past1, self.conv1, self.relu1 = nn.ConstantPad1d((4, 0), 0.0), nn.Conv1d(16, 48, 5), nn.ReLU()
        self.past2, self.conv2, self.relu2 = nn.ConstantPad1d((4, 0), 0.0), nn.Conv1d(48, 48, 5), nn.ReLU()
        self.linear = nn.Linear(48, CHARACTERS)

    def forward(self, x: Tensor) -> Tensor:
        """Scores [n, T, characters] of what follows each of the characters x [n, T], int64."""
        x = self.embedding(x).transpose(1, 2)
        x = self.relu1(self.conv1(self.past1(x)))
        x = self.relu2(self.conv2(self.past2(x)))
        scores: Tensor = self.linear(x.transpose(1, 2))
        return scores


def conv_norm_relu(fan_in: int, fan_out: int, *, dilation: int = 1) -> list[nn.Module]:
    """A 3x3 convolution that keeps the size of the image, BatchNorm and ReLU."""
    conv = nn.Conv2d(fan_in, fan_out, 3, padding=dilation, dilation=dilation, bias=False)
    return [conv, nn.BatchNorm2d(fan_out), nn.ReLU()]


class VGG7(SequentialNetwork):
    """32x32 images: three pairs of convolutions (128, 256, 512) that halve the image, then 1024-10.

    Source: VGG-7 of Ternary Weight Networks (Li et al. 2016), normalised.
    """

    def __init__(self) -> None:
        blocks: list[nn.Module] = []
        for fan_in, fan_out in pairwise((3, 128, 256, 512)):
            blocks += [*conv_norm_relu(fan_in, fan_out), *conv_norm_relu(fan_out, fan_out), nn.MaxPool2d(2)]
        classifier = [nn.Linear(512 * 4 * 4, 1024), nn.BatchNorm1d(1024), nn.ReLU(), nn.Linear(1024, 10)]
        super().__init__(*blocks, nn.Flatten(), *classifier)


class Residual(nn.Module):
    """Two 3x3 convolutions with a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, fan_in: int, fan_out: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(fan_in, fan_out, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(fan_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(fan_out, fan_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(fan_out)
        changes = stride != 1 or fan_in != fan_out
        self.shortcut = nn.Conv2d(fan_in, fan_out, 1, stride=stride) if changes else nn.Identity()
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """[n, fan_in, height, width] to [n, fan_out, height / stride, width / stride]."""
        inner = self.relu1(self.norm1(self.conv1(x)))
        result: Tensor = self.relu2(self.norm2(self.conv2(inner)) + self.shortcut(x))
        return result


class ResNet8(nn.Module):
    """32x32 images: a convolution, three residual blocks (16, 32, 64), mean over the image, linear.

    Source: the image classification network of MLPerf Tiny (Banbury et al. 2021), ResNet-8.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_norm_relu(3, 16))
        self.block1 = Residual(16, 16, stride=1)
        self.block2 = Residual(16, 32, stride=2)
        self.block3 = Residual(32, 64, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores [n, 10] of images x [n, 3, 32, 32]."""
        x = self.block3(self.block2(self.block1(self.stem(x))))
        scores: Tensor = self.linear(self.flatten(self.pool(x)))
        return scores
