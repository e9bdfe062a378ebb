"""How alike two candidates are: a product over the decisions of one small table each.

k(x, x') = prod_d T_d[x_d, x'_d] with T_d[a, b] = 1 - w_d + w_d exp(-|u_a - u_b|): expanded, a sum of effects
of single decisions, of pairs, of triples and so on, as in smoothing-spline ANOVA (Gu 2013, ch. 2). w_d says
how much the decision matters; u_a - u_b is a sum of steps between neighbouring choices, each with a length of
its own, so that 2 -> 4 bits may matter where 6 -> 8 doesn't. Choices without order are all equally far apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.spaces.space import Space

MOST_WEIGHT = 0.995  # tables stay positive, so that their logarithm exists
MATTERING = 1.0  # decisions that matter, as far as is known before any trial
PRIOR_SPREAD = {"weight": 1.5, "step": 1.0}


@dataclass(frozen=True)
class Tables:
    """The logarithms of all T_d as one block-diagonal matrix [S, S], and what gradients need."""

    log: FloatArray
    weights: FloatArray  # [D]
    decays: tuple[FloatArray, ...]  # exp(-|u_a - u_b|) of each decision, [c, c]


class Kernel:
    """The tables of a space by parameters [W]: logits of all w_d, then logarithms of the steps."""

    def __init__(self, space: Space) -> None:
        self.counts = [int(count) for count in space.cardinalities]
        self.starts = np.concatenate([[0], np.cumsum(self.counts)])
        self.ordered = [decision.ordered and len(decision.choices) > 1 for decision in space.decisions]
        steps = [
            count - 1 if ordered else 0 for count, ordered in zip(self.counts, self.ordered, strict=True)
        ]
        first = len(self.counts)
        self.step_starts = first + np.concatenate([[0], np.cumsum(steps)])
        self.size = int(self.step_starts[-1])

    @cached_property
    def prior(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation [W] of each parameter: a range is one long."""
        decisions = len(self.counts)
        mean = np.full(self.size, np.log(min(1.0, MATTERING / decisions)))
        spread = np.full(self.size, PRIOR_SPREAD["weight"])
        spread[decisions:] = PRIOR_SPREAD["step"]
        for column, count in enumerate(self.counts):
            if self.ordered[column]:
                mean[self.step_starts[column] : self.step_starts[column + 1]] = -np.log(count - 1)
        return mean, spread

    def encode(self, candidates: IntArray) -> FloatArray:
        """Indicators [K, S] of the choices of candidates [K, D], S choices in all."""
        shown = np.zeros((len(candidates), int(self.starts[-1])))
        shown[np.arange(len(candidates))[:, None], candidates + self.starts[:-1]] = 1.0
        return shown

    def tables(self, parameters: FloatArray) -> Tables:
        """The tables with these parameters [W]."""
        weights = MOST_WEIGHT / (1 + np.exp(-parameters[: len(self.counts)]))
        log = np.zeros((int(self.starts[-1]),) * 2)
        decays = []
        for column, count in enumerate(self.counts):
            decay = self._decay(column, count, parameters)
            block = slice(self.starts[column], self.starts[column + 1])
            log[block, block] = np.log1p(weights[column] * (decay - 1))
            decays.append(decay)
        return Tables(log, weights, tuple(decays))

    def _decay(self, column: int, count: int, parameters: FloatArray) -> FloatArray:
        if not self.ordered[column]:
            return np.eye(count)
        steps = np.exp(parameters[self.step_starts[column] : self.step_starts[column + 1]])
        place = np.concatenate([[0.0], np.cumsum(steps)])
        decay: FloatArray = np.exp(-np.abs(place[:, None] - place[None, :]))
        return decay

    def gradient(self, parameters: FloatArray, tables: Tables, pull: FloatArray) -> FloatArray:
        """Derivative [W] of a loss; `pull` [S, S] is that by log k, summed over pairs by their choices."""
        result = np.zeros(self.size)
        for column, weight in enumerate(tables.weights):
            block = slice(self.starts[column], self.starts[column + 1])
            by_table = pull[block, block] / np.exp(tables.log[block, block])
            decay = tables.decays[column]
            result[column] = (by_table * (decay - 1)).sum() * weight * (1 - weight / MOST_WEIGHT)
            if self.ordered[column]:
                crossing = -weight * by_table * decay
                own = slice(self.step_starts[column], self.step_starts[column + 1])
                result[own] = _over_steps(crossing) * np.exp(parameters[own])
        return result


def _over_steps(pairs: FloatArray) -> FloatArray:
    """For each step the sum [c - 1] of those pairs [c, c] of choices that lie on different sides of it."""
    sums = pairs.cumsum(axis=0).cumsum(axis=1)  # sums[i, j]: of the pairs up to i and up to j
    inner = np.arange(len(pairs) - 1)
    result: FloatArray = sums[inner, -1] + sums[-1, inner] - 2 * sums[inner, inner]
    return result
