"""A path of networks: one training along which a price rises, and the places on it that are candidates."""

from __future__ import annotations

from dataclasses import dataclass

from widthwise.core.errors import UserError
from widthwise.spaces.space import Decision, Space
from widthwise.training.trained_widths.settings import PathSettings

PRICE = "price"  # the one decision


@dataclass(frozen=True)
class PathSpace(Space):
    """One decision: what all bits together cost at the checkpoint whose network a candidate is."""


def path_space(settings: PathSettings) -> PathSpace:
    """The checkpoints of a training, by the price at which each is."""
    ends = settings.ends()
    prices = [float(f"{settings.price(end - 1):.4g}") for end in ends]
    if len(set(prices)) < len(prices):
        raise UserError(
            f"[search.training]: {settings.checkpoints} checkpoints lie too close together from price_from = "
            f"{settings.price_from:g} to price_to = {settings.price_to:g}; give fewer, or let it rise more"
        )
    return PathSpace((Decision(PRICE, tuple(prices)),))
