"""What a network predicts over a loader, and how well it does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from widthwise.core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Score:
    """Mean cross-entropy and share of correct answers over all samples of a loader."""

    loss: float
    accuracy: float
    samples: int


def predict(
    model: nn.Module, loader: Iterable[tuple[Tensor, Tensor]], *, device: str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Scores [samples, classes] in eval mode and labels [samples] over the whole loader, on the CPU."""
    import torch

    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            batches = [(model(x.to(device)).cpu(), y.cpu()) for x, y in loader]
    finally:
        model.train(was_training)
    if not batches:
        raise UserError("no samples to judge the network on; give the split a share of the data")
    scores, labels = (torch.cat(part) for part in zip(*batches, strict=True))
    return scores, labels


def score(model: nn.Module, loader: Iterable[tuple[Tensor, Tensor]], *, device: str = "cpu") -> Score:
    """Loss and accuracy over the whole loader; raises UserError for labels beyond the network's outputs."""
    from torch.nn.functional import cross_entropy

    scores, labels = predict(model, loader, device=device)
    check_labels(labels, scores)
    correct = (scores.argmax(dim=1) == labels).double().mean()
    return Score(float(cross_entropy(scores, labels)), float(correct), len(labels))


def check_labels(labels: Tensor, scores: Tensor) -> None:
    """Raises UserError for labels beyond the network's outputs."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= scores.shape[1]:
        raise UserError(
            f"label {low if low < 0 else high} is out of range; the network has {scores.shape[1]} outputs, "
            f"so labels run from 0 to {scores.shape[1] - 1}"
        )
