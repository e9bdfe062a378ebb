"""What a training led to, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from widthwise.core.figures import shown_figure
from widthwise.core.screen import html_table
from widthwise.metrics.quality.task import ranked

if TYPE_CHECKING:
    from widthwise.metrics.quality.task import Task


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training data led to; `number` counts from 1.

    values: the figures on the validation data by which the task tells the better epoch, in its order.
    """

    number: int
    train_loss: float
    values: Mapping[str, float]

    @property
    def val_loss(self) -> float:
        """Validation loss; NaN where the task has none."""
        return self.values.get("loss", math.nan)

    @property
    def val_accuracy(self) -> float:
        """Validation accuracy; NaN where the task has none."""
        return self.values.get("accuracy", math.nan)


@dataclass(frozen=True)
class History:
    """All epochs of a training in order; the weights kept are those of the best one."""

    epochs: tuple[Epoch, ...]
    task: Task

    def __repr__(self) -> str:
        """How many epochs, and the best of them."""
        best = self.best
        judged = ", ".join(f"{name} {shown_figure(value, 4)}" for name, value in best.values.items())
        return f"History of {len(self.epochs)} epochs; best: epoch {best.number}, validation {judged}"

    def _repr_html_(self) -> str:
        names = tuple(self.best.values)
        rows = [
            [
                str(epoch.number),
                *map(shown_figure, (epoch.train_loss, *(epoch.values[name] for name in names))),
            ]
            for epoch in self.epochs
        ]
        return html_table(repr(self), ["epoch", "training loss", *names], rows)

    @property
    def best(self) -> Epoch:
        """The epoch that is best by the task: of classes by accuracy, and among equals by loss."""
        return best_of(self.epochs, self.task)

    @property
    def best_epoch(self) -> int:
        """The number of the best epoch, counted from 1."""
        return self.best.number

    @property
    def train_loss(self) -> tuple[float, ...]:
        """Mean training loss of each epoch."""
        return tuple(epoch.train_loss for epoch in self.epochs)

    @property
    def val_loss(self) -> tuple[float, ...]:
        """Validation loss after each epoch."""
        return tuple(epoch.val_loss for epoch in self.epochs)

    @property
    def val_accuracy(self) -> tuple[float, ...]:
        """Validation accuracy after each epoch."""
        return tuple(epoch.val_accuracy for epoch in self.epochs)


def best_of(epochs: Sequence[Epoch], task: Task) -> Epoch:
    """The first of the best of some epochs."""
    return max(epochs, key=lambda epoch: ranked(task, epoch.values))
