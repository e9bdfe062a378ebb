"""An input that a network might take, guessed from its first layers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor, nn

from widthwise.network.operands import Call
from widthwise.network.undisturbed import undisturbed

SAMPLES = 2
IMAGE_SIDES = (32, 28, 8, 16, 64, 224)
LENGTHS = (16, 32, 64, 128)


def guessed_call(network: nn.Module) -> Call | None:
    """Arguments that the network runs with, all of one shape; None where no guess does."""
    count = _inputs(network)
    for guess in _guesses(network):
        if _runs(network, (guess,) * count):
            return (guess,) * count, {}
    return None


def _inputs(network: nn.Module) -> int:
    """How many inputs have no default."""
    taken = inspect.signature(network.forward).parameters.values()
    needed = [
        p for p in taken if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return max(len(needed), 1)


def _guesses(network: nn.Module) -> Iterator[Tensor]:
    like = next((p for p in network.parameters() if p.is_floating_point()), torch.empty(0))
    for module in network.modules():
        if isinstance(module, nn.Embedding):
            yield from (torch.zeros(SAMPLES, n, dtype=torch.int64, device=like.device) for n in LENGTHS)
        for shape in chain(_shapes(module), _shapes_of_parameters(module)):
            values = torch.randn(SAMPLES, *shape, generator=torch.Generator().manual_seed(0))
            yield values.to(device=like.device, dtype=like.dtype)


def _shapes_of_parameters(module: nn.Module) -> Iterator[tuple[int, ...]]:
    """Shapes of a sample that functions could take which read a module's own parameters."""
    for parameter in module.parameters(recurse=False):
        if parameter.ndim == 2:
            yield from ((size,) for size in (parameter.shape[1], parameter.shape[0]))
        elif parameter.ndim == 4:
            yield from ((parameter.shape[1], side, side) for side in IMAGE_SIDES)


def _shapes(module: nn.Module) -> Iterator[tuple[int, ...]]:
    """Shapes of a sample that this layer could take, were it the first."""
    if isinstance(module, nn.Linear):
        yield (module.in_features,)
        yield from ((1, side, side) for side in IMAGE_SIDES if side * side == module.in_features)
        yield (LENGTHS[0], module.in_features)
    elif isinstance(module, nn.RNNBase | nn.RNNCellBase):
        yield (LENGTHS[0], module.input_size)
        yield (module.input_size,)
    elif isinstance(module, nn.BatchNorm1d):
        yield (module.num_features,)
    elif isinstance(module, nn.Conv1d):
        yield from ((module.in_channels, length) for length in LENGTHS)
    elif isinstance(module, nn.Conv2d):
        yield from ((module.in_channels, side, side) for side in IMAGE_SIDES)
    elif isinstance(module, nn.MultiheadAttention):
        yield (LENGTHS[0], module.embed_dim)


def _runs(network: nn.Module, inputs: tuple[Tensor, ...]) -> bool:
    try:
        with undisturbed(network), torch.no_grad():
            network(*inputs)
    except Exception:  # the network may raise anything for an input that it does not take
        return False
    return True
