"""The exact decomposition of a metric's variance, where every combination of choices was evaluated."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.study.importance.result import Effects

NOTHING = 1e-12  # shares below this are rounding


def is_complete(codes: IntArray, counts: IntArray) -> bool:
    """Whether the rows [n, D] are all combinations of counts [D] choices, each once."""
    if len(codes) != math.prod(counts.tolist()):
        return False
    return len(np.unique(_positions(codes, counts))) == len(codes)


def exact_effects(metric: str, codes: IntArray, counts: IntArray, values: FloatArray) -> Effects:
    """The effects on values [n] of a complete table: rows [n, D] of all combinations of counts [D] choices.

    Effects are differences of averages: f_i = E[y | x_i] - E[y], f_ij = E[y | x_i, x_j] - f_i - f_j - E[y]
    (Hoeffding 1948; Hutter et al. 2014). A decision's total share is that of the variance which is left
    where all others are known: E[Var(y | the others)] / Var(y) (Homma and Saltelli 1996).
    """
    mean = float(values.mean())
    centred = values - mean
    variance = float((centred**2).mean())
    decisions = len(counts)
    main, total, pairs = np.zeros(decisions), np.zeros(decisions), np.zeros((decisions, decisions))
    by_choice = tuple(_average(codes[:, i], int(counts[i]), centred) for i in range(decisions))
    if variance <= (NOTHING * max(abs(mean), 1e-300)) ** 2:
        zero = tuple(np.zeros(int(count)) for count in counts)
        return Effects(metric, "exact", mean, 0.0, main, total, pairs, zero)
    for i in range(decisions):
        main[i] = (by_choice[i] ** 2).mean()
        others = [k for k in range(decisions) if k != i]
        total[i] = variance - (_averages_over(others, codes, counts, centred) ** 2).mean()
        for j in range(i + 1, decisions):
            cell = codes[:, i] * counts[j] + codes[:, j]
            both = _average(cell, int(counts[i] * counts[j]), centred).reshape(counts[i], counts[j])
            inter = both - by_choice[i][:, None] - by_choice[j][None, :]
            pairs[i, j] = pairs[j, i] = (inter**2).mean()
    shares = [_clean(part / variance) for part in (main, total, pairs)]
    least = math.sqrt(NOTHING * variance)
    shown = tuple(np.where(np.abs(effects) < least, 0.0, effects) for effects in by_choice)
    return Effects(metric, "exact", mean, variance, shares[0], shares[1], shares[2], shown)


def exact_layers(
    codes: IntArray, counts: IntArray, values: FloatArray, layers: Sequence[Sequence[int]]
) -> tuple[FloatArray, FloatArray]:
    """The shares of the variance of values [n] of a complete table that layers of decisions have, [L] each.

    By themselves: Var(E[y | the layer's decisions]) / Var(y); with all interactions that any of these takes
    part in: E[Var(y | all other decisions)] / Var(y).
    """
    centred = values - values.mean()
    variance = float((centred**2).mean())
    if variance <= (NOTHING * max(abs(float(values.mean())), 1e-300)) ** 2:
        return np.zeros(len(layers)), np.zeros(len(layers))
    alone, total = np.zeros(len(layers)), np.zeros(len(layers))
    for number, layer in enumerate(layers):
        others = [i for i in range(len(counts)) if i not in layer]
        alone[number] = (_averages_over(list(layer), codes, counts, centred) ** 2).mean()
        total[number] = variance - (_averages_over(others, codes, counts, centred) ** 2).mean()
    return _clean(alone / variance), _clean(total / variance)


def _averages_over(columns: list[int], codes: IntArray, counts: IntArray, values: FloatArray) -> FloatArray:
    """The mean of the values [n] for each combination of the decisions in these columns."""
    cells = _positions(codes[:, columns], counts[columns])
    return _average(cells, math.prod(counts[columns].tolist()), values)


def _clean(shares: FloatArray) -> FloatArray:
    return np.where(shares < NOTHING, 0.0, shares)


def _average(cells: IntArray, count: int, values: FloatArray) -> FloatArray:
    """The mean of the values [n] in each of `count` cells."""
    averages: FloatArray = np.bincount(cells, weights=values, minlength=count) / (len(values) / count)
    return averages


def _positions(codes: IntArray, counts: IntArray) -> IntArray:
    """Where rows [n, D] stand in the enumeration of all combinations, of which there are no more than n."""
    total = np.zeros(len(codes), dtype=np.int64)
    for column, count in enumerate(counts.tolist()):
        total = total * count + codes[:, column]
    return total
