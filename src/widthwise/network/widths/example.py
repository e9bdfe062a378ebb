"""An input that a network accepts: given, from its data, or guessed from its first layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from widthwise.core.errors import UserError
from widthwise.data.modules import Data
from widthwise.network.guessing import SAMPLES, guessed_call


def example_input(model: nn.Module, given: Data | Tensor | Sequence[Any] | None = None) -> tuple[Any, ...]:
    """Arguments for the network: two samples of what is given, else a guess that runs.

    Raises UserError where nothing was given and no guess runs.
    """
    if isinstance(given, Tensor):
        return (given[:SAMPLES],)
    if isinstance(given, Data):
        batch = next(iter(given.val_dataloader()))
        return (batch[0][:SAMPLES],)
    if given is not None:
        return tuple(given)
    guess = guessed_call(model)
    if guess is not None:
        return guess[0]
    raise UserError(
        f"{type(model).__name__}: no input shape that it takes could be guessed; give an example input"
    )
