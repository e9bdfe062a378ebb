"""Layers that are subclasses of torch's, or a user's own, under names that say nothing of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from helpers.networks.reparametrised import StandardisedConv2d, around, around_image, around_words


class Dense(nn.Linear):
    """A plain subclass."""


class Checked(nn.Linear):
    """Calls what it inherits."""

    def forward(self, x: Tensor) -> Tensor:
        assert self.in_features == x.shape[-1]
        return super().forward(x)


class Doubled(nn.Linear):
    """Does more than what it inherits."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * 0.5) * 2 + 0.25


class Functional(nn.Linear):
    """Its own call of the function."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class Transposing(nn.Linear):
    """By the product in place of the function."""

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T + self.bias


class Sandwich(nn.Linear):
    """A layer, its activation and its norm in one module, as libraries of blocks have them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.norm, self.act = nn.LayerNorm(outputs), nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(super().forward(x)))


class SamePadding(nn.Conv2d):
    """TensorFlow's padding, then the function."""

    def forward(self, x: Tensor) -> Tensor:
        pads = []
        for size, kernel, stride in zip(
            x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True
        ):
            needed = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            pads += [needed // 2, needed - needed // 2]
        return F.conv2d(F.pad(x, pads), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class ConvOfInt(nn.Conv2d):
    """Half padding by default; what is inherited does the work."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)


class CallsInner(nn.Conv2d):
    """By torch's own method for a convolution with another weight."""

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight, self.bias)


class Ids(nn.Embedding):
    def forward(self, ids: Tensor) -> Tensor:
        return super().forward(ids) * math.sqrt(self.embedding_dim)


class NormAct2d(nn.BatchNorm2d):
    """A norm and its activation, as timm has it."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(super().forward(x))


class NormByFunction2d(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        mean, var = self.running_mean, self.running_var
        return F.batch_norm(x, mean, var, self.weight, self.bias, self.training, 0.1, self.eps)


class LayerNorm2d(nn.LayerNorm):
    """Over the channels of a picture."""

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias).permute(
            0, 3, 1, 2
        )


class OwnRMSNorm(nn.Module):
    """As Llama's: no subclass of torch's."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


class OwnGELU(nn.Module):
    """The approximation by tanh, written out."""

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


class GELUActivation(nn.Module):
    """A function in an attribute, as transformers has it."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.functional.gelu

    def forward(self, x: Tensor) -> Tensor:
        return self.act(x)


class Swish(nn.SiLU):
    """Another name."""


def _fourfold(layer: nn.Module) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), layer, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )


def _between(layer: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), layer, nn.Linear(8, 3))


LINEAR: Mapping[str, Callable[[], nn.Module]] = {
    made.__name__: (lambda made=made: around(made(6, 8)))  # type: ignore[misc]
    for made in (Dense, Checked, Doubled, Functional)
}
CONVOLUTIONS: Mapping[str, Callable[[], nn.Module]] = {
    "SamePadding": lambda: around_image(SamePadding(3, 4, 3, stride=2)),
    "ConvOfInt": lambda: around_image(ConvOfInt(3, 4, 3)),
    "CallsInner": lambda: around_image(CallsInner(3, 4, 3, padding=1)),
    "reflecting": lambda: around_image(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")),
    "padded by name": lambda: around_image(nn.Conv2d(3, 4, 3, padding="same")),
    "StandardisedConv2d": lambda: around_image(StandardisedConv2d(3, 4, 3, padding=1)),
}
EMBEDDINGS: Mapping[str, Callable[[], nn.Module]] = {"Ids": lambda: around_words(Ids(10, 6))}
NORMS: Mapping[str, tuple[Callable[[], nn.Module], str]] = {  # with the type that selects them
    "NormAct2d": (lambda: _fourfold(NormAct2d(4)), "batch_norm2d"),
    "NormByFunction2d": (lambda: _fourfold(NormByFunction2d(4)), "batch_norm2d"),
    "LayerNorm2d": (lambda: _fourfold(LayerNorm2d(4)), "layer_norm"),
    "Swish": (lambda: _between(Swish()), "silu"),
    "GELUActivation": (lambda: _between(GELUActivation()), "gelu"),
}
OWN: Mapping[str, Callable[[], nn.Module]] = {
    "OwnRMSNorm": lambda: _between(OwnRMSNorm(8)),
    "OwnGELU": lambda: _between(OwnGELU()),
}
