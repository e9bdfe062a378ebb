"""What is expected of one objective: from its own values, or from which samples are answered rightly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.strategies.frontier.process import LEAST_VARIANCE, Process, Reach

AT_ONCE = 512  # candidates whose samples are looked at together


@dataclass(frozen=True)
class Prediction:
    """Mean and variance [P] for P candidates, and what learning of one of them needs."""

    mean: FloatArray
    variance: FloatArray
    half: FloatArray  # [n, P]


@dataclass(frozen=True, eq=False)
class Model:
    """An objective with a mean that follows from the process, and a doubt of `size` times the process's."""

    process: Process
    size: float
    mean: Callable[[Reach], FloatArray]

    def predict(self, candidates: IntArray) -> Prediction:
        """What is expected of candidates [P, D]."""
        reach = self.process.reach(candidates)
        return Prediction(self.mean(reach), self.size**2 * reach.variance, self.size * reach.half)

    def expecting(self, prediction: Prediction, candidates: IntArray, chosen: int) -> Prediction:
        """After candidate number `chosen` turned out as expected: the mean stays, doubt shrinks."""
        square = self.size**2
        cross = square * self.process.between(candidates[chosen], candidates)
        cross -= prediction.half[:, chosen] @ prediction.half
        row = cross / np.sqrt(prediction.variance[chosen] + square * self.process.noise)
        variance = np.maximum(prediction.variance - row**2, square * LEAST_VARIANCE)
        return Prediction(prediction.mean, variance, np.vstack([prediction.half, row]))


def value_model(process: Process) -> Model:
    """For a process whose one output is the objective."""
    size = max(float(process.outputs.std()), 1e-12)

    def mean(reach: Reach) -> FloatArray:
        return np.asarray(process.centre[0] + process.weights[:, 0] @ reach.cross)

    return Model(process, size, mean)


def answer_model(process: Process, shares: FloatArray, values: FloatArray, *, doubt: float) -> Model:
    """For a process whose outputs are margins [n, S], > 0 where a sample is answered rightly.

    The objective is the sum of the `shares` [S] of the samples that are, and what it differed from that in
    the mean of the told `values` [n]. Expected is the sum over each sample's chance to be answered rightly:
    a composite function (Astudillo & Frazier 2019) whose inner outputs, unlike its value, change smoothly
    with the choices. What is not known of it is the process's variance, scaled by the errors with each told
    candidate left out, of whose squares `doubt` is the part that counts.
    """
    sizes = process.sizes
    weights = (process.weights / sizes).astype(np.float32)
    centre = (process.centre / sizes).astype(np.float32)
    told = process.outputs > 0
    beyond = float((values - told @ shares).mean())

    def expected(standardised: NDArray[Any], variance: FloatArray) -> FloatArray:
        deviation = np.sqrt(variance).astype(np.float32)
        chances = torch.special.ndtr(torch.from_numpy(standardised / deviation[:, None])).numpy()
        return np.asarray(chances @ shares + beyond, dtype=np.float64)

    def mean(reach: Reach) -> FloatArray:
        cross = reach.cross.T.astype(np.float32)
        parts = [
            expected(cross[at : at + AT_ONCE] @ weights + centre, reach.variance[at : at + AT_ONCE])
            for at in range(0, len(cross), AT_ONCE)
        ]
        return np.concatenate([np.empty(0), *parts])

    outputs, variance = process.left_out
    errors = values - expected(outputs / sizes, variance)
    square = doubt * float((errors**2 / variance).mean())
    return Model(process, float(np.sqrt(max(square, 1e-12))), mean)
