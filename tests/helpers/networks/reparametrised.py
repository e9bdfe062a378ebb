"""Networks whose layers compute with another weight than they store, or with more than their class says."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune


def around(first: nn.Module) -> nn.Sequential:
    """A layer from six features to eight, and a head."""
    return nn.Sequential(first, nn.ReLU(), nn.Linear(8, 3))


def around_image(first: nn.Module) -> nn.Sequential:
    """A convolution from three channels to four that keeps 6 x 6, and a head."""
    return nn.Sequential(first, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


def around_words(first: nn.Module) -> nn.Sequential:
    """An embedding of ten words in six numbers, and a head."""
    return nn.Sequential(first, nn.Flatten(), nn.Linear(30, 3))


def _quietly(change: Callable[..., nn.Module], *args: Any, **kwargs: Any) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the old forms are deprecated, and in many checkpoints
        return change(*args, **kwargs)


def old_weight_norm(layer: nn.Module) -> nn.Module:
    """With a gain that is not the weight's own norm."""
    made = _quietly(nn.utils.weight_norm, layer)
    with torch.no_grad():
        made.weight_g *= 1.7
    return made


def old_spectral_norm(layer: nn.Module) -> nn.Module:
    return _quietly(nn.utils.spectral_norm, layer)


def new_weight_norm(layer: nn.Module) -> nn.Module:
    made = parametrizations.weight_norm(layer)
    with torch.no_grad():
        made.parametrizations.weight.original0 *= 1.7
    return made


def new_spectral_norm(layer: nn.Module) -> nn.Module:
    return parametrizations.spectral_norm(layer)


def orthogonal(layer: nn.Module) -> nn.Module:
    return parametrizations.orthogonal(layer)


def pruned(layer: nn.Module) -> nn.Module:
    return prune.l1_unstructured(layer, "weight", amount=0.5)


def pruned_in_rows(layer: nn.Module) -> nn.Module:
    return prune.ln_structured(layer, "weight", amount=0.25, n=2, dim=0)


def pruned_for_good(layer: nn.Module) -> nn.Module:
    return prune.remove(prune.l1_unstructured(layer, "weight", amount=0.5), "weight")


def pruned_bias(layer: nn.Module) -> nn.Module:
    return prune.random_unstructured(layer, "bias", amount=0.5)


class Standardised(nn.Module):
    """Rows of mean zero and variance one, as a parametrisation."""

    def forward(self, weight: Tensor) -> Tensor:
        rows = weight.flatten(1)
        made = (rows - rows.mean(1, keepdim=True)) / rows.std(1, keepdim=True)
        return made.view_as(weight)


class Bounded(nn.Module):
    """Values between -1 and 1, as a parametrisation."""

    def forward(self, weight: Tensor) -> Tensor:
        return torch.tanh(weight)


def standardised(layer: nn.Module) -> nn.Module:
    return parametrize.register_parametrization(layer, "weight", Standardised())


def twice_parametrised(layer: nn.Module) -> nn.Module:
    return parametrize.register_parametrization(standardised(layer), "weight", Bounded())


class LowRank(nn.Module):
    """LoRA as a parametrisation: the weight and a product of two thin ones."""

    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(2, inputs) / 2)
        self.up = nn.Parameter(torch.randn(outputs, 2) / 2)

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.up @ self.down


def low_rank(layer: nn.Module) -> nn.Module:
    return parametrize.register_parametrization(layer, "weight", LowRank(8, 6))


def with_hook(layer: nn.Module) -> nn.Module:
    layer.register_forward_hook(lambda module, args, output: output * 3)
    return layer


def with_pre_hook(layer: nn.Module) -> nn.Module:
    layer.register_forward_pre_hook(lambda module, args: (args[0] * 2 + 1,))
    return layer


def with_keyword_hook(layer: nn.Module) -> nn.Module:
    layer.register_forward_hook(lambda module, args, kwargs, output: output.flip(1), with_kwargs=True)
    return layer


def with_two_hooks(layer: nn.Module) -> nn.Module:
    return with_pre_hook(with_hook(with_hook(layer)))


def with_clipping_hook(layer: nn.Module) -> nn.Module:
    """A pre-hook that bounds the weight before each use, as old GANs have it."""

    def clip(module: nn.Module, args: Any) -> None:
        with torch.no_grad():
            module.weight.clamp_(-0.1, 0.1)

    layer.register_forward_pre_hook(clip)
    return layer


class StandardisedConv2d(nn.Conv2d):
    """Weight standardisation in its own forward (big transfer, NFNets)."""

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.std((1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class ScaledLinear(nn.Linear):
    """Equalised learning rate (StyleGAN)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * 1.5, self.bias * 0.5)


class CosineLinear(nn.Linear):
    """A head of cosines: inputs and weights of length one."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.normalize(x, dim=1), F.normalize(self.weight, dim=1), self.bias)


class PositiveLinear(nn.Linear):
    """Monotone networks have weights above zero."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, F.softplus(self.weight), self.bias)


class MaskedLinear(nn.Linear):
    """Autoregressive networks (MADE) mask the weight by a buffer."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.register_buffer("mask", torch.ones(outputs, inputs).tril())

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.mask * self.weight, self.bias)


class PropertyLinear(nn.Module):
    """The weight is a property of two stored parts."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.randn(outputs, inputs))
        self.length = nn.Parameter(torch.full((outputs, 1), 1.2))
        self.bias = nn.Parameter(torch.zeros(outputs))

    @property
    def weight(self) -> Tensor:
        return self.length * F.normalize(self.direction, dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class PropertySubclass(nn.Linear):
    """As a subclass of Linear, whose own parameter has another name."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.raw = nn.Parameter(self.weight.detach().clone())
        del self._parameters["weight"]

    @property
    def weight(self) -> Tensor:
        return torch.tanh(self.raw) * 2

    @weight.setter
    def weight(self, value: Tensor) -> None:
        self._parameters["weight"] = value


class MaxNormEmbedding(nn.Embedding):
    """Rows of length one, made when they are read."""

    def forward(self, ids: Tensor) -> Tensor:
        return F.embedding(ids, F.normalize(self.weight, dim=1))


def adapted() -> nn.Module:
    """LoRA as a module beside a layer, as peft has it: three weights."""

    class Adapted(nn.Linear):
        def __init__(self) -> None:
            super().__init__(6, 8)
            self.down, self.up = nn.Linear(6, 2, bias=False), nn.Linear(2, 8, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + self.up(self.down(x)) * 0.5

    return Adapted()


def linear() -> nn.Module:
    return nn.Linear(6, 8)


def convolution() -> nn.Module:
    return nn.Conv2d(3, 4, 3, padding=1)


def embedding() -> nn.Module:
    return nn.Embedding(10, 6)


_NORMS = (old_weight_norm, old_spectral_norm, new_weight_norm, new_spectral_norm, standardised)
_PRUNED = (pruned, pruned_in_rows, pruned_for_good)
_HOOKS = (with_hook, with_pre_hook, with_keyword_hook, with_two_hooks)
_OWN: tuple[Callable[[int, int], nn.Module], ...] = (
    *(ScaledLinear, CosineLinear, PositiveLinear, MaskedLinear, PropertyLinear, PropertySubclass),
)


def _changed(change: Callable[[nn.Module], nn.Module], layer: Any, put: Any) -> Callable[[], nn.Module]:
    return lambda: put(change(layer()))


LINEAR: Mapping[str, Callable[[], nn.Module]] = {
    **{
        made.__name__: _changed(made, linear, around)
        for made in (*_NORMS, *_PRUNED, *_HOOKS, orthogonal, twice_parametrised, low_rank, with_clipping_hook)
    },
    "pruned_bias": _changed(pruned_bias, linear, around),
    **{made.__name__: (lambda made=made: around(made(6, 8))) for made in _OWN},  # type: ignore[misc]
}
CONVOLUTION: Mapping[str, Callable[[], nn.Module]] = {
    **{made.__name__: _changed(made, convolution, around_image) for made in (*_NORMS, *_PRUNED, *_HOOKS)},
    "StandardisedConv2d": lambda: around_image(StandardisedConv2d(3, 4, 3, padding=1)),
}
EMBEDDING: Mapping[str, Callable[[], nn.Module]] = {
    **{
        made.__name__: _changed(made, embedding, around_words)
        for made in (old_weight_norm, new_weight_norm, new_spectral_norm, standardised, pruned, with_hook)
    },
    "MaxNormEmbedding": lambda: around_words(MaxNormEmbedding(10, 6)),
}
