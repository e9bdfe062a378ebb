"""Where a network's weights come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widthwise.network.named import MODELS, load_model

if TYPE_CHECKING:
    from torch import nn

    from widthwise.config import SearchConfig


def is_untrained(config: SearchConfig, network: nn.Module) -> bool:
    """Whether the network is a built-in one with the random weights that it begins with."""
    from widthwise.core.hashing import hash_weights

    if config.model not in MODELS.own:
        return False
    fresh = load_model(config.model, seed=config.seed)
    return hash_weights(fresh) == hash_weights(network)
