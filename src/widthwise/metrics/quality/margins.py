"""Margins: for each sample, by how much a candidate is right or wrong about it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from widthwise.core.arrays import FloatArray, IntArray

SAMPLES = 1024  # that margins are told of
LEAST = 1e-6  # margin of a right answer


class SampleMargins:
    """Margins [R, n] float32 of R candidates on the n samples of one block; NaN rows where they failed."""

    def __init__(self, rows: int, samples: int) -> None:
        self.margins: FloatArray = np.full((rows, samples), np.nan, dtype=np.float32)
        self.failures: dict[int, str] = {}

    def add(self, rows: IntArray, scores: Tensor, versions: IntArray, labels: Tensor) -> None:
        """From scores [V, n, C] for labels [n]: those of the rows [R'], each with its version."""
        self.margins[rows] = margins(scores, labels).cpu().numpy()[versions]


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
