"""The zoo: every network that several tests go over, once, with its inputs and what can be said of it."""

from __future__ import annotations

from helpers.networks.features import Shared, Untraceable
from helpers.networks.images import Mixed
from helpers.networks.odd import Layers
from helpers.networks.zoo import ZOO, build, inputs, normal, tagged, trained_like

__all__ = [
    "ZOO",
    "Layers",
    "Mixed",
    "Shared",
    "Untraceable",
    "build",
    "inputs",
    "normal",
    "tagged",
    "trained_like",
]
