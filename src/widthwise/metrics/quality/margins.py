"""Margins of classes: for each sample, by how much a candidate is right or wrong about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from widthwise.core.arrays import FloatArray

LEAST = 1e-6  # margin of a right answer


@dataclass(frozen=True)
class ClassAnswers:
    """Answers that are classes: right where the true class has the highest score."""

    metrics: Sequence[str] = ("accuracy", "accuracy_macro", "recall")

    def margins(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """As the function `margins`; of samples that are left out anything."""
        labels = targets.argmax(1) if targets.ndim == 2 else targets.clamp(min=0)
        return margins(outputs, labels)

    def shares(self, metric: str, targets: Tensor) -> FloatArray:
        """What each sample counts in one of `metrics` if it is answered rightly, [S] for labels [S]."""
        labels = (targets.argmax(1) if targets.ndim == 2 else targets).cpu().numpy()
        counted = labels >= 0
        if not counted.all():  # those that are left out count nothing
            found = np.zeros(len(labels))
            found[counted] = self.shares(metric, targets[torch.from_numpy(counted)]) if counted.any() else 0.0
            return found
        if metric == "accuracy":
            return np.full(len(labels), 1 / len(labels))
        classes, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
        shares: FloatArray = 1 / (len(classes) * counts[numbers])
        return shares


def margins(scores: Tensor, labels: Tensor) -> Tensor:
    """p^(1/4) of the true class less the greatest p^(1/4) of another, [V, n], for scores [V, n, C].

    p are the softmax probabilities. Positive exactly where the answer is right: of equal scores, which coarse
    formats often give, the first class is the answer. The root keeps apart what is unlikely and what is
    impossible, and is bounded where the logarithm is not. Infinite scores count as the greatest number; NaN
    stays NaN.
    """
    greatest = torch.finfo(torch.float32).max
    roots = scores.float().clamp(-greatest, greatest).softmax(-1).sqrt().sqrt()
    true = labels[None, :, None].expand(len(scores), -1, 1)
    own = roots.gather(-1, true)[..., 0]
    others = roots.scatter(-1, true, 0.0)
    margin = own - others.amax(-1)
    right = scores.argmax(-1) == labels
    return torch.where(right, margin.clamp_min(LEAST), margin.clamp_max(0.0))
