"""How widths are trained: the settings, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from widthwise.core.errors import UserError, unknown

Price = Literal["ebops", "bits"]
Each = Literal["element", "channel", "tensor"]
PRICES: tuple[Price, ...] = get_args(Price)
EACH: tuple[Each, ...] = get_args(Each)


@dataclass(frozen=True)
class PathSettings:
    """How a network's widths are trained while the price of bits rises, along one path.

    steps: of the optimiser, in all. checkpoints: places of the path, evenly apart, each of which is a
    candidate. price_from, price_to: of all the bits that the network begins with, in units of how far its
    outputs vary; between them the price rises geometrically. settle: the share of the steps before each
    checkpoint in which it stands and the rates fall to nothing. cost: what is priced: "ebops", or "bits" of
    weights and biases. learning_rate: of weights; width_rate: of widths. batch_size: samples of a step.
    mixup: how much of another sample is at most mixed into one; noise: standard deviation of what is added
    to each feature, in units of its own. labels: the share of the loss that is the task's, on the samples as
    they are; the rest is the distance from the float network's outputs. bits: that tensors begin with.
    weights: what of a weight has a width of its own, an element, an output channel or the tensor; data: the
    same of what layers read, a channel or the tensor. Raises UserError for values out of range.
    """

    steps: int = 16_000
    checkpoints: int = 40
    price_from: float = 0.1
    price_to: float = 20.0
    settle: float = 0.5
    cost: Price = "ebops"
    learning_rate: float = 8e-3
    width_rate: float = 1e-2
    batch_size: int = 256
    mixup: float = 0.5
    noise: float = 0.1
    labels: float = 0.0
    bits: int = 7
    weights: Each = "element"
    data: Each = "channel"

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("checkpoints", 1), ("batch_size", 2), ("bits", 2)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise UserError(f"{name} = {value!r} is no whole number from {least}")
        if self.checkpoints > self.steps:
            raise UserError(
                f"checkpoints = {self.checkpoints} are more than steps = {self.steps}; give fewer of them"
            )
        if self.bits > 16:
            raise UserError(f"bits = {self.bits} is more than 16, which nothing is trained down from")
        for name in ("price_from", "price_to", "learning_rate", "width_rate"):
            _check(name, getattr(self, name), "no number above 0", above=0.0)
        for name, most in (("mixup", 1.0), ("labels", 1.0), ("noise", math.inf)):
            _check(name, getattr(self, name), f"no number from 0{'' if most > 1 else ' to 1'}", most=most)
        _check("settle", self.settle, "no number from 0 to 0.95", most=0.95)
        if self.price_to < self.price_from:
            raise UserError(
                f"price_to = {self.price_to:g} is below price_from = {self.price_from:g}; the price rises"
            )
        for name, allowed in (("cost", PRICES), ("weights", EACH), ("data", EACH[1:])):
            if getattr(self, name) not in allowed:
                raise unknown(name, getattr(self, name), allowed)

    def price(self, step: int) -> float:
        """Of all the bits that the network begins with, at a step from 0."""
        number, share = self._place(step)
        moved = (number + min(share / (1 - self.settle), 1.0)) / self.checkpoints
        return float(self.price_from * (self.price_to / self.price_from) ** moved)

    def rates(self, step: int) -> tuple[float, float]:
        """Of weights and of widths at a step from 0: half a cosine down where the price stands."""
        share = self._place(step)[1]
        settled = (share - (1 - self.settle)) / self.settle if self.settle else 0.0
        factor = (1 + math.cos(math.pi * settled)) / 2 if settled > 0 else 1.0
        return self.learning_rate * factor, self.width_rate * factor

    def _place(self, step: int) -> tuple[int, float]:
        """How many checkpoints lie before a step from 0, and what share of the way to the next it is."""
        number, rest = divmod(step * self.checkpoints, self.steps)
        return number, rest / self.steps

    def ends(self) -> list[int]:
        """After how many steps each checkpoint is."""
        return [round(self.steps * (number + 1) / self.checkpoints) for number in range(self.checkpoints)]


def _check(name: str, value: Any, wrong: str, *, above: float | None = None, most: float = math.inf) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or value > most or (value <= above if above is not None else value < 0):
        raise UserError(f"{name} = {value!r} is {wrong}")
