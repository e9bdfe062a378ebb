"""Effects estimated from some of the candidates, by a model of single decisions and pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.study.importance.result import Effects

# relative weight of pairs against main effects, and of noise against all; chosen by leave-one-out error
PAIR_WEIGHTS = (0.0, 0.03, 0.1, 0.3, 1.0)
NOISES = tuple(10.0**power for power in range(-9, 2))
NOTHING = 1e-6  # effects below this share of the standard deviation are what a ridge leaves


@dataclass(frozen=True)
class _Fit:
    """Dual weights [n] with the pair weight that they belong to, and the leave-one-out squared error."""

    dual: FloatArray
    pair_weight: float
    error: float


def fitted_effects(metric: str, codes: IntArray, counts: IntArray, values: FloatArray) -> Effects:
    """The effects of a model fitted to values [n] of some rows [n, D], over all combinations of counts [D].

    Kernel ridge regression with an ANOVA kernel (Durrande et al. 2013): constant + sum k_i + w sum k_i k_j,
    where k_i of n_i choices is n_i [a = b] - 1. Such a k_i is 0 on average over the choices, so the model is
    the sum of its own effects, and their variances over all combinations follow in closed form, whatever
    combinations the trials happen to have. Ridge and w are those with the least leave-one-out error.
    """
    spread = float(values.std())
    decisions = len(counts)
    if spread <= 1e-12 * max(abs(float(values.mean())), 1e-300) or len(values) < 3:
        nothing = np.zeros(decisions)
        by_choice = tuple(np.zeros(int(count)) for count in counts)
        mean = float(values.mean())
        pairs = np.zeros((decisions, decisions))
        return Effects(metric, "fitted", mean, 0.0, nothing, nothing, pairs, by_choice, fit=None)
    middle = float(values.mean())
    scaled = (values - middle) / spread
    contrasts = [_contrasts(codes[:, i], int(counts[i])) for i in range(decisions)]
    fit = _best_fit(contrasts, scaled)
    effects = _decomposed(contrasts, fit)
    variance = float(effects.main.sum() + effects.pairs.sum() / 2)
    whole = variance if variance > 0 else 1.0
    total = effects.main + effects.pairs.sum(axis=1)
    return Effects(
        metric,
        "fitted",
        middle + spread * float(fit.dual.sum()),
        variance * spread**2,
        effects.main / whole,
        total / whole,
        effects.pairs / whole,
        tuple(effect * spread for effect in effects.by_choice),
        fit=1 - fit.error / _left_out_mean_error(scaled),
    )


@dataclass(frozen=True)
class _Parts:
    by_choice: tuple[FloatArray, ...]
    main: FloatArray  # variances
    pairs: FloatArray


def _contrasts(column: IntArray, count: int) -> FloatArray:
    """Orthonormal features [n, count]: their inner products are k_i = count [a = b] - 1 over count - 1."""
    identity = np.sqrt(count) * (np.eye(count) - 1 / count)
    features: FloatArray = identity[column] / np.sqrt(max(count - 1, 1))
    return features


def _kernels(contrasts: list[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Main effects' and pairs' kernels [n, n], each with a trace of about n."""
    singles = np.zeros((len(contrasts[0]),) * 2)
    squares = np.zeros_like(singles)
    for features in contrasts:
        kernel = features @ features.T
        singles += kernel
        squares += kernel**2
    pairs = (singles**2 - squares) / 2  # the sum over i < j of k_i k_j
    decisions = len(contrasts)
    return singles / decisions, pairs / max(decisions * (decisions - 1) / 2, 1)


def _best_fit(contrasts: list[FloatArray], values: FloatArray) -> _Fit:
    """The fit of values [n] with the least leave-one-out error; the simpler of equal ones."""
    singles, pairs = _kernels(contrasts)
    found: _Fit | None = None
    for weight in PAIR_WEIGHTS if len(contrasts) > 1 else (0.0,):
        # the 1 is the constant, which is hardly shrunk
        kernel = (singles + weight * pairs) / (1 + weight)
        roots, vectors = np.linalg.eigh(kernel + 1.0)
        turned = vectors.T @ values
        for noise in NOISES:
            inverse = 1 / (np.maximum(roots, 0) + noise)
            dual = vectors @ (inverse * turned)
            diagonal = (vectors**2) @ inverse
            error = float(((dual / diagonal) ** 2).mean())  # leave-one-out, in closed form
            if found is None or error < found.error * (1 - 1e-9):
                found = _Fit(dual, weight, error)
    assert found is not None
    return found


def _decomposed(contrasts: list[FloatArray], fit: _Fit) -> _Parts:
    """The main effects and the variances of all effects of a fit."""
    decisions = len(contrasts)
    share = 1 / (1 + fit.pair_weight)
    single = share / decisions
    pair = share * fit.pair_weight / max(decisions * (decisions - 1) / 2, 1)
    main, pairs = np.zeros(decisions), np.zeros((decisions, decisions))
    by_choice = []
    for i, features in enumerate(contrasts):
        count = features.shape[1]
        table = _table(count)
        effect = single * (table @ (features.T @ fit.dual))
        by_choice.append(_clean(effect))
        main[i] = (by_choice[i] ** 2).mean()
        for j in range(i + 1, decisions) if pair else ():
            inner = (features * fit.dual[:, None]).T @ contrasts[j]
            inter = pair * (table @ inner @ _table(contrasts[j].shape[1]).T)
            pairs[i, j] = pairs[j, i] = (_clean(inter) ** 2).mean()
    return _Parts(tuple(by_choice), main, pairs)


def fitted_layers(effects: Effects, layers: Sequence[Sequence[int]]) -> tuple[FloatArray, FloatArray]:
    """The shares that layers of decisions have in a fitted model's variance, [L] each: alone, with others."""
    alone, total = np.zeros(len(layers)), np.zeros(len(layers))
    for number, layer in enumerate(layers):
        columns = list(layer)
        others = [i for i in range(len(effects.main)) if i not in columns]
        alone[number] = effects.main[columns].sum() + effects.pairs[np.ix_(columns, columns)].sum() / 2
        total[number] = alone[number] + effects.pairs[np.ix_(columns, others)].sum()
    return alone, total


def _clean(effect: FloatArray) -> FloatArray:
    """The effect on values of standard deviation 1, exactly 0 where it is none."""
    return np.where(np.abs(effect) < NOTHING, 0.0, effect)


def _table(count: int) -> FloatArray:
    """The features of every choice, [count, count]."""
    return _contrasts(np.arange(count), count)


def _left_out_mean_error(values: FloatArray) -> float:
    """The mean squared error of predicting each value by the mean of the others."""
    n = len(values)
    return float((((values - values.mean()) * n / (n - 1)) ** 2).mean())
