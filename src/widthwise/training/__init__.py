"""Training a network in place, and how well it does on a loader."""

from __future__ import annotations

from widthwise.training.history import Epoch, History
from widthwise.training.loop import fit, train
from widthwise.training.scoring import Score, predict, score
from widthwise.training.settings import OPTIMIZERS, SCHEDULES, OptimizerName, Schedule, Settings

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Epoch",
    "History",
    "OptimizerName",
    "Schedule",
    "Score",
    "Settings",
    "fit",
    "predict",
    "score",
    "train",
]
