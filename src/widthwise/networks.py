"""The built-in networks; the blocks in seq_blocks become the nodes seq_blocks_0, seq_blocks_1 and so on."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

RELU_OUTPUT_START = 1.0


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
