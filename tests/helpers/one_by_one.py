"""The plain evaluator: each candidate is a network of its own, run once. What the engine must agree with."""

from __future__ import annotations

import numpy as np
import torch

from widthwise.core.arrays import IntArray
from widthwise.evaluators.engine import Evaluator


def scores_of(evaluator: Evaluator, candidate: IntArray, x: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """What the candidate's own network gives for the inputs."""
    model = evaluator.network(candidate).model.eval()
    with torch.no_grad():
        result = model(*x)
    return result[0] if isinstance(result, tuple) else result


def outcomes(
    evaluator: Evaluator, candidates: IntArray, x: tuple[torch.Tensor, ...], y: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Confusion matrices [K, C, C] and mean losses [K]."""
    matrices, losses = [], []
    for candidate in candidates:
        scores = scores_of(evaluator, candidate, x)
        matrix = np.zeros((scores.shape[1], scores.shape[1]), dtype=np.int64)
        np.add.at(matrix, (y.numpy(), scores.argmax(1).numpy()), 1)
        matrices.append(matrix)
        losses.append(float(torch.nn.functional.cross_entropy(scores.double(), y)))
    return np.array(matrices), np.array(losses)
