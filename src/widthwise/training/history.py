"""What a training led to, epoch by epoch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training data led to; `number` counts from 1."""

    number: int
    train_loss: float
    val_loss: float
    val_accuracy: float


@dataclass(frozen=True)
class History:
    """All epochs of a training in order; the weights kept are those of the best one."""

    epochs: tuple[Epoch, ...]

    @property
    def best(self) -> Epoch:
        """The epoch with the highest validation accuracy; among equals that with the lowest loss."""
        return max(self.epochs, key=rank)

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


def rank(epoch: Epoch) -> tuple[float, float]:
    """What makes an epoch better: higher accuracy, then lower loss."""
    return epoch.val_accuracy, -epoch.val_loss
