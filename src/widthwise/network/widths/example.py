"""An input that a network accepts: given, from its data, or guessed from its first layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from widthwise.core.errors import UserError
from widthwise.data.facts import part
from widthwise.data.modules import Data
from widthwise.network.calling import positional
from widthwise.network.guessing import SAMPLES, guessed_call
from widthwise.network.reading import try_on

Example = Data | Tensor | Sequence[Any] | Mapping[str, Any]


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
        some = {name: x[:SAMPLES] if isinstance(x, Tensor) and x.ndim else x for name, x in given.items()}
        try:
            return positional(model, some)
        except TypeError as error:
            raise UserError(f"{type(model).__name__}.forward takes other inputs: {error}") from error
    if given is not None:
        return tuple(given)
    guess = guessed_call(model)
    if guess is not None:
        return guess[0]
    raise UserError(
        f"{type(model).__name__}: no input shape that it takes could be guessed; give an example input"
    )
