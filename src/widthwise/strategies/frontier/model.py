"""What is expected of one objective: from its own values, or from which samples are answered rightly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.metrics.quality.follows import Follows, figure, then
from widthwise.strategies.frontier.process import LEAST_VARIANCE, Process, Reach

AT_ONCE = 512  # candidates whose samples are looked at together
SPREADS = (1.0, 0.5, 0.25, 0.1, 0.03)  # parts of the variance that may count in what is expected of a sample


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


def answer_model(process: Process, follows: Follows, values: FloatArray, *, doubt: float) -> Model:
    """For a process whose outputs [n, S] are what single samples tell, as margins or errors.

    The objective follows from them, and what it differed from that in the mean of the told `values` [n].
    Expected is what follows from each sample's chance to be answered rightly, or from its expected square or
    absolute value: a composite function (Astudillo & Frazier 2019) whose inner outputs, unlike its value,
    change smoothly with the choices. Of the variance of samples as much counts there as predicts the told
    values best, each left out: far from all that was told it may be all but infinite, and every chance 1/2.
    What is not known of the objective is the process's variance, scaled by the errors with each told
    candidate left out, of whose squares `doubt` is the part that counts.
    """
    sizes = process.sizes
    weights = (process.weights / sizes).astype(np.float32)
    centre = (process.centre / sizes).astype(np.float32)
    expect = EXPECTED[follows.of]
    powers = {"right": 0, "absolute": 1, "square": 2}
    shares = follows.shares * sizes ** powers[follows.of]
    beyond = float((values - figure(follows, process.outputs)).mean())

    def expected(standardised: NDArray[Any], variance: FloatArray, spread: float) -> FloatArray:
        each = expect(standardised, np.sqrt(spread * variance).astype(np.float32)[:, None])
        found: FloatArray = follows.factor * then(follows, each @ shares) + beyond
        return found

    outputs, variance = process.left_out
    tried = [values - expected(outputs / sizes, variance, spread) for spread in SPREADS]
    least = int(np.argmin([float((errors**2).mean()) for errors in tried]))
    square = doubt * float((tried[least] ** 2 / variance).mean())

    def mean(reach: Reach) -> FloatArray:
        cross = reach.cross.T.astype(np.float32)
        parts = [
            expected(
                cross[at : at + AT_ONCE] @ weights + centre, reach.variance[at : at + AT_ONCE], SPREADS[least]
            )
            for at in range(0, len(cross), AT_ONCE)
        ]
        return np.concatenate([np.empty(0), *parts])

    return Model(process, float(np.sqrt(max(square, 1e-12))), mean)


def _chance_above_0(mean: NDArray[Any], deviation: NDArray[Any]) -> NDArray[Any]:
    found: NDArray[Any] = torch.special.ndtr(torch.from_numpy(mean / deviation)).numpy()
    return found


def _mean_square(mean: NDArray[Any], deviation: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(mean**2 + deviation**2)


def _mean_absolute(mean: NDArray[Any], deviation: NDArray[Any]) -> NDArray[Any]:
    """Of a folded normal distribution (Leone, Nelson & Nottingham 1961)."""
    ratio = mean / deviation
    below = 1 - 2 * _chance_above_0(mean, deviation)
    return np.asarray(deviation * np.sqrt(2 / np.pi) * np.exp(-0.5 * ratio**2) - mean * below)


EXPECTED = {"right": _chance_above_0, "square": _mean_square, "absolute": _mean_absolute}
"""What is expected [P, S] of what a sample counts, its value being normal with this mean and deviation."""
