"""An input that a network accepts: given, from its data, or guessed from its first layer."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from widthwise.core.errors import UserError
from widthwise.data.facts import LABELS
from widthwise.data.modules import Data
from widthwise.network.graph import run_in_eval_mode

SAMPLES = 2
IMAGE_SIDES = (32, 28, 8, 16, 64, 224)
LENGTHS = (16, 32, 64, 128)
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def example_input(
    model: nn.Module, given: Data | Tensor | Sequence[Any] | Mapping[str, Any] | None = None
) -> tuple[Any, ...]:
    """Arguments for the network: two samples of what is given, else a guess that runs.

    `given` is an input, several, names to them as `forward` has them, or data to take some from. Raises
    UserError where names don't fit, and where nothing was given and no guess runs.
    """
    if isinstance(given, Tensor):
        return (given[:SAMPLES],)
    if isinstance(given, Data):
        return _of_batch(model, next(iter(given.val_dataloader())))
    if isinstance(given, Mapping):
        return _in_order(model, given)
    if given is not None:
        return tuple(given)
    for guess in _guesses(model):
        if _runs(model, guess):
            return (guess,)
    raise UserError(
        f"{type(model).__name__}: no input shape that it takes could be guessed; give an example input"
    )


def _of_batch(model: nn.Module, batch: Any) -> tuple[Any, ...]:
    """The arguments that a batch holds: x, (x, y), or names to tensors with or without labels."""
    if isinstance(batch, Mapping):
        return _in_order(model, {name: x for name, x in batch.items() if name not in LABELS})
    x = batch[0] if isinstance(batch, list | tuple) else batch
    return (tree_map(_some, x),)


def _some(x: Any) -> Any:
    return x[:SAMPLES] if isinstance(x, Tensor) and x.ndim else x


def _in_order(model: nn.Module, named: Mapping[str, Any]) -> tuple[Any, ...]:
    """Named arguments in the order in which `forward` takes them, its own values between them."""
    try:
        bound = inspect.signature(model.forward).bind(
            **{name: tree_map(_some, x) for name, x in named.items()}
        )
    except TypeError as error:
        raise UserError(f"{type(model).__name__}.forward takes other inputs: {error}") from error
    bound.apply_defaults()
    names = list(bound.arguments)
    last = max(names.index(name) for name in names if name in named)
    kinds = {name: parameter.kind for name, parameter in bound.signature.parameters.items()}
    if any(kinds[name] not in POSITIONAL for name in names[: last + 1]):
        raise UserError(
            f"{type(model).__name__}.forward takes {names[last]} by name alone; give inputs in their order"
        )
    return tuple(bound.arguments[name] for name in names[: last + 1])


def _guesses(model: nn.Module) -> Iterator[Tensor]:
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            yield from (torch.zeros(SAMPLES, n, dtype=torch.int64, device=like.device) for n in LENGTHS)
        for shape in _shapes(module):
            values = torch.rand(SAMPLES, *shape, generator=torch.Generator().manual_seed(0))
            yield values.to(device=like.device, dtype=like.dtype)


def _shapes(module: nn.Module) -> Iterator[tuple[int, ...]]:
    """Shapes of a sample that this layer could take, were it the first."""
    if isinstance(module, nn.Linear):
        yield (module.in_features,)
        yield from ((1, side, side) for side in IMAGE_SIDES if side * side == module.in_features)
    elif isinstance(module, nn.BatchNorm1d):
        yield (module.num_features,)
    elif isinstance(module, nn.Conv1d):
        yield from ((module.in_channels, length) for length in LENGTHS)
    elif isinstance(module, nn.Conv2d):
        yield from ((module.in_channels, side, side) for side in IMAGE_SIDES)
    elif isinstance(module, nn.MultiheadAttention):
        yield (LENGTHS[0], module.embed_dim)
    elif isinstance(module, nn.RNNBase):
        yield (LENGTHS[0], module.input_size)


def _runs(model: nn.Module, x: Tensor) -> bool:
    try:
        run_in_eval_mode(model, x)
    except Exception:  # the network may raise anything for an input that it does not take
        return False
    return True
