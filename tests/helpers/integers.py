"""Networks that forms in integers write, and formats for their layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

import widthwise as ww
from widthwise.formats import Integer
from widthwise.network.passes import fold_batchnorm_transform_pass
from widthwise.network.realised import Realised
from widthwise.network.scheme import Scheme

FIXED = Integer(6, 3)
ALL = {"data_in": FIXED, "weight": FIXED, "bias": FIXED}
WEIGHTED = ("linear", "conv1d", "conv2d", "batch_norm2d")


class Residual(nn.Module):
    """A tensor with two readers, taken off another."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(16, 12), nn.Linear(12, 12), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.a(x))
        return self.c(torch.relu(self.b(h) - h) + h)


class Functions(nn.Module):
    """Layers as functions, sizes read of tensors, windows that reach beyond the image."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.at = nn.Parameter(torch.randn(4, 1, 3, 2)), nn.Parameter(torch.randn(4))
        self.weight = nn.Parameter(torch.randn(5, 4 * 3 * 3))

    def forward(self, x: Tensor) -> Tensor:
        h = functional.conv2d(x, self.kernel, self.at, stride=(2, 1), padding=1).relu()
        h = functional.max_pool2d(h, (3, 5), (2, 4), padding=1, ceil_mode=True)
        return functional.linear(h.view(x.size(0), -1), self.weight)


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 5))


def convolutional() -> nn.Module:
    features = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    other = nn.Conv2d(4, 6, (3, 2), padding="same", groups=2, dilation=2)
    return nn.Sequential(*features, other, nn.ReLU(), nn.Flatten(), nn.Linear(54, 5))


def signals() -> nn.Module:
    first = nn.Conv1d(3, 4, 3, padding=1, stride=2)
    return nn.Sequential(first, nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(8, 5))


def scaled() -> nn.Module:
    """Batch norms, folded: one merged, one that only scales."""
    layers = (nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten())
    network = nn.Sequential(*layers, nn.Linear(48, 5)).train()
    network(torch.randn(16, 2, 6, 6) * 2 + 1)
    folded, merged = fold_batchnorm_transform_pass(ww.Graph(network.eval(), torch.zeros(2, 2, 6, 6)), {})
    assert merged == {"_0": "", "_3": "_2"}
    return folded.model


NETWORKS = {
    "perceptron": (perceptron, (16,)),
    "residual": (Residual, (16,)),
    "convolutional": (convolutional, (1, 8, 8)),
    "signals": (signals, (3, 8)),
    "functions": (Functions, (1, 8, 8)),
    "scaled": (scaled, (2, 6, 6)),
    "sequences": (lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)), (7, 6)),
}


def inputs(shape: tuple[int, ...], samples: int = 40) -> Tensor:
    return torch.randn(samples, *shape, generator=torch.Generator().manual_seed(0)) * 2


def realised(make: object, x: Tensor, formats: object, types: tuple[str, ...] = WEIGHTED) -> Realised:
    """The network with these formats, or those that a function draws, in its layers of some types."""
    torch.manual_seed(1)
    network = make().eval()  # type: ignore[operator]
    draw = formats if callable(formats) else formats.get  # type: ignore[attr-defined]
    schemes = {
        layer.name: Scheme(**{tensor: draw(tensor) for tensor in layer.tensors})
        for layer in ww.Graph(network, x).layers
        if layer.tensors and layer.type in types
    }
    return Realised((), {}, {name: s for name, s in schemes.items() if s}).complete(network)
