"""An input that a network accepts: given, from its data, or guessed from its first layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from widthwise.core.errors import UserError
from widthwise.data.facts import part
from widthwise.data.modules import Data
from widthwise.network.calling import positional
from widthwise.network.graph import run_in_eval_mode
from widthwise.network.reading import try_on

SAMPLES = 2
Example = Data | Tensor | Sequence[Any] | Mapping[str, Any]
IMAGE_SIDES = (32, 28, 8, 16, 64, 224)
LENGTHS = (16, 32, 64, 128)


def example_input(model: nn.Module, given: Example | None = None) -> tuple[Any, ...]:
    """Arguments for the network: two samples of what is given, else a guess that runs.

    `given` is its input [samples, …], several in a sequence, names to them, or data, of which whole batches
    are taken where the network runs on nothing else. Defaults between inputs are filled in. Raises UserError
    where nothing was given and no guess runs.
    """
    if isinstance(given, Tensor):
        return (given[:SAMPLES],)
    if isinstance(given, Data):
        device = next((str(tensor.device) for tensor in model.state_dict().values()), "cpu")
        trial = try_on(model, part(given, "val"), device=device)
        whole = bool(trial.reader.whole_because)
        block = trial.block if whole else trial.block.part(0, SAMPLES)
        return positional(model, block.inputs)
    if isinstance(given, Mapping):
        return positional(model, given)
    if given is not None:
        return tuple(given)
    for guess in _guesses(model):
        if _runs(model, guess):
            return (guess,)
    raise UserError(
        f"{type(model).__name__}: no input shape that it takes could be guessed; give an example input"
    )


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


def _runs(model: nn.Module, x: Tensor) -> bool:
    try:
        run_in_eval_mode(model, x)
    except Exception:  # the network may raise anything for an input that it does not take
        return False
    return True
