"""How candidates of a search of formats are fine-tuned: the settings, checked once (loads nothing heavy)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from widthwise.core.errors import UserError, unknown
from widthwise.training.halving import Halving
from widthwise.training.settings import Settings

Which = Literal["front", "all"]
Method = Literal["train", "bias_correction", "adaptive_rounding"]
Norms = Literal["frozen", "measured"]
WHICH: tuple[Which, ...] = get_args(Which)
METHODS: tuple[Method, ...] = get_args(Method)
NORMS: tuple[Norms, ...] = get_args(Norms)
MOST: dict[Which, int] = {"front": 16, "all": 27}
BASE = Settings(steps=1000, learning_rate=2e-3, distil=1.0)  # unless [search.training] says otherwise
SHARED = "shared.safetensors"  # in a run's folder: the weights that all its candidates share
SHARED_ABOUT = "shared.json"  # what training they are from


@dataclass(frozen=True)
class Finetuning:
    """Which candidates are trained on with their formats once the search is over, and how.

    candidates: the front's, or all of them, those front by front that are best; most: at most so many, by
    default 16 of a front, spread over its costs, and 27 of all. method: "train"; or, layer by layer without
    training through the network, biases corrected or weights of under 5 bits rounded up or down adaptively,
    after which biases are corrected too. training: how each is trained; `distil` is
    the share of the loss that is the distance from the float network's outputs.
    batch_norm: whether the statistics of batch norms stay, or are measured again at the end.
    step_sizes: whether the steps of formats are trained too, where they are fixed numbers.
    mixup: how much of another sample is at most mixed into one; noise: standard deviation of what is added to
    each feature, in units of its own; crop: pixels by which images are at most moved. Where one of them is
    not 0, samples are made of the training part's, and labelled by the float network.
    halving: of all candidates, only those that do best on little training get all of it; None: each does.
    Raises UserError for values out of range.
    """

    candidates: Which = "front"
    most: int | None = None
    method: Method = "train"
    training: Settings = field(default=BASE)
    batch_norm: Norms = "frozen"
    step_sizes: bool = False
    mixup: float = 0.0
    noise: float = 0.0
    crop: int = 0
    halving: Halving | None = None

    def __post_init__(self) -> None:
        for name, allowed in (("candidates", WHICH), ("method", METHODS), ("batch_norm", NORMS)):
            if getattr(self, name) not in allowed:
                raise unknown(name, getattr(self, name), allowed)
        if self.most is not None:
            _check_whole("most", self.most, 1)
        _check_whole("crop", self.crop, 0)
        for name, most in (("mixup", 1.0), ("noise", math.inf)):
            value: Any = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not number or not 0 <= value <= most:
                raise UserError(f"{name} = {value!r} is no number from 0{'' if most > 1 else ' to 1'}")
        if not isinstance(self.step_sizes, bool):
            raise UserError(f"step_sizes = {self.step_sizes!r} is neither true nor false")
        if self.halving is not None and self.candidates != "all":
            raise UserError('halving: stops some of all candidates early; set candidates = "all" as well')
        if self.makes_samples and not self.training.distil:
            raise UserError(
                "mixup, noise and crop make samples that only the float network labels; give distil above 0"
            )
        of_training = (
            self.makes_samples,
            self.step_sizes,
            self.halving is not None,
            self.batch_norm != "frozen",
        )
        if self.method != "train" and any(of_training):
            raise UserError(
                f"method = {self.method!r}: goes without mixup, noise, crop, step_sizes, batch_norm and "
                "halving, which are of training; leave them out"
            )
        for name in ("patience", "mixed_precision"):
            if getattr(self.training, name):
                raise UserError(f"{name}: fine-tuning has no use for it; leave it out")

    @property
    def makes_samples(self) -> bool:
        """Whether samples are made of those there are."""
        return bool(self.mixup or self.noise or self.crop)

    @property
    def at_most(self) -> int:
        """How many candidates are trained at most."""
        return MOST[self.candidates] if self.most is None else self.most


def _check_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UserError(f"{name} = {value!r} is no whole number from {least}")
