"""How a network is trained: the settings, checked once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from widthwise.core.errors import UserError, unknown
from widthwise.core.importing import describe_error
from widthwise.core.later import LATER

OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}
OptimizerName = Literal["adam", "adamw", "sgd"]
Schedule = Literal["cosine", "linear", "one-cycle", "constant"]
SCHEDULES = get_args(Schedule)
BALANCED: Literal["balanced"] = "balanced"
ClassWeights = tuple[float, ...] | Literal["balanced"] | None
LOSSES = ("mse", "mae", "huber")  # that a task of ours lets one choose among
WARM_UP = 0.3  # share of a one-cycle schedule in which the rate rises


@dataclass(frozen=True)
class Settings:
    """How a network is trained.

    epochs: passes over the training data. steps: optimiser steps instead; the last pass may be part of one.
    schedule: how the learning rate goes from step to step: down to 0 along a cosine or a line, up along a
    line and then down along a cosine (one-cycle), or not at all. patience: epochs without a better one after
    which training stops. distil: the share of the loss that is the distance from a teacher's outputs, where
    there is a teacher (Hinton et al. 2015). mixed_precision: bfloat16 or float16 where it is safe; only
    on a GPU. loss: which of the task's, as regression has mse, mae and huber; or one's own in place of it,
    `(outputs, targets) -> a scalar`, or where that is as "module:callable": only training follows it, the
    task still judges. class_weights: how much each class counts in the task's loss, a number each;
    "balanced": such that all count alike, whatever their samples. Raises UserError for values out of range.
    """

    epochs: int = 100
    steps: int | None = None
    learning_rate: float = 2e-2
    optimizer: OptimizerName = "adam"
    momentum: float = 0.0  # of sgd
    weight_decay: float = 0.0
    schedule: Schedule = "cosine"
    label_smoothing: float = 0.0
    patience: int | None = None
    distil: float = 0.0
    mixed_precision: bool = False
    loss: str | Callable[..., Any] | None = field(default=None, metadata={LATER: True})
    class_weights: ClassWeights = field(default=None, metadata={LATER: True})

    def __post_init__(self) -> None:
        _check_whole("epochs", self.epochs)
        if self.steps is not None:
            _check_whole("steps", self.steps)
        if self.patience is not None:
            _check_whole("patience", self.patience)
        if isinstance(self.learning_rate, bool) or not 0 < self.learning_rate < math.inf:
            raise UserError(f"learning_rate = {self.learning_rate!r} is no number above 0")
        if isinstance(self.weight_decay, bool) or not 0 <= self.weight_decay < math.inf:
            raise UserError(f"weight_decay = {self.weight_decay!r} is no number from 0")
        for name in ("momentum", "label_smoothing"):
            value = getattr(self, name)
            if isinstance(value, bool) or not 0 <= value < 1:
                raise UserError(f"{name} = {value!r} is no number from 0 up to, not including, 1")
        if isinstance(self.distil, bool) or not 0 <= self.distil <= 1:
            raise UserError(f"distil = {self.distil!r} is no share from 0 to 1")
        _check_weights(self.class_weights)
        if self.optimizer not in OPTIMIZERS:
            raise unknown("optimizer", self.optimizer, OPTIMIZERS)
        if self.schedule not in SCHEDULES:
            raise unknown("schedule", self.schedule, SCHEDULES)

    def rate(self, done: float) -> float:
        """The share of the learning rate after the share `done` of the training."""
        done = min(done, 1.0)
        if self.schedule == "cosine":
            return (1 + math.cos(math.pi * done)) / 2
        if self.schedule == "linear":
            return 1 - done
        if self.schedule == "one-cycle":
            if done < WARM_UP:
                return (0.05 + done) / (0.05 + WARM_UP)
            return (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))) / 2
        return 1.0


def _check_weights(given: Any) -> None:
    if given is None or given == BALANCED:
        return
    numbers = given if isinstance(given, tuple | list) else ()
    real = [isinstance(x, int | float) and not isinstance(x, bool) and 0 < x < math.inf for x in numbers]
    if not real or not all(real):
        raise UserError(
            f"class_weights = {given!r} are no numbers above 0, one for each class; give such, or "
            f"{BALANCED!r}"
        )


def check_device(device: str, settings: Settings) -> None:
    """Raises UserError for a device that isn't here, and for mixed precision without a GPU."""
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch built without CUDA
        raise UserError(f"device {device!r} can't be used here: {describe_error(error)}; use cpu") from error
    if settings.mixed_precision and torch.device(device).type != "cuda":
        raise UserError(f"mixed_precision needs a GPU, but the device is {device}; leave it out, or use cuda")


def _check_whole(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{name} = {value!r} is no whole number from 1")
