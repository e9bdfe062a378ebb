"""Where a network's weights come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widthwise.network.named import MODELS, load_model

if TYPE_CHECKING:
    from torch import nn

    from widthwise.config import SearchConfig


def is_untrained(config: SearchConfig, network: nn.Module) -> bool:
    """Whether the network has the random weights that the config's name makes it with.

    A network of the user's is made again to see it, twice where it is as made: another seed has to give it
    other weights, or its callable brings its own.
    """
    from widthwise.core.hashing import hash_weights

    if config.model is None or config.load_name is not None:
        return False
    marks = hash_weights(network)
    if hash_weights(load_model(config.model, seed=config.seed)) != marks:
        return False
    return config.model in MODELS.own or hash_weights(load_model(config.model, seed=config.seed + 1)) != marks
