"""Where a network's weights come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widthwise.core.errors import UserError
from widthwise.network.named import MODELS, load_model

if TYPE_CHECKING:
    from torch import nn

    from widthwise.config import SearchConfig


def made_by_name(config: SearchConfig) -> nn.Module | None:
    """The network that the config's name makes; None where it names none that can be had from here."""
    try:
        return None if config.model is None else load_model(config.model, seed=config.seed)
    except UserError:
        return None


def is_untrained(config: SearchConfig, network: nn.Module) -> bool:
    """Whether the network has the random weights that the config's name makes it with.

    A network of the user's is made again to see it, twice where it is as made: another seed has to give it
    other weights, or its callable brings its own. It isn't known of a network that was given where the name
    can't be found.
    """
    from widthwise.core.hashing import hash_weights

    if config.model is None or config.load_name is not None:
        return False
    marks, made = hash_weights(network), made_by_name(config)
    if made is None or hash_weights(made) != marks:
        return False
    return config.model in MODELS.own or hash_weights(load_model(config.model, seed=config.seed + 1)) != marks
