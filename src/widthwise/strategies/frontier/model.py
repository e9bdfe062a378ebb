"""A model of one metric: a Gaussian process over the choices, fitted to what was told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from widthwise.space import FloatArray, IntArray
from widthwise.strategies.frontier.kernel import Kernel

JITTER = 1e-8
SCALE_PRIOR = (0.5, 1.0)  # log of the variance, mean and spread
NOISE_PRIOR = (float(np.log(1e-3)), 1.5)  # log of the noise's share of the variance of what was told
LEAST_VARIANCE = 1e-10


@dataclass(frozen=True)
class Prediction:
    """Standardised mean and variance [P] for P candidates, and what learning of one of them needs."""

    mean: FloatArray
    variance: FloatArray
    half: FloatArray  # [n, P], L^-1 k(told, candidates)


class Model:
    """y ~ mean + deviation * GP(0, s k(x, x') + noise), log s and log noise last in `parameters`."""

    def __init__(
        self, kernel: Kernel, candidates: IntArray, values: FloatArray, *, parameters: FloatArray
    ) -> None:
        self.kernel = kernel
        self.centre, self.deviation = float(values.mean()), max(float(values.std()), 1e-12)
        self.parameters = parameters
        self.scale, self.noise = np.exp(parameters[-2:])
        self._tables = kernel.tables(parameters[:-2])
        self._seen = kernel.encode(candidates)
        covariance = self._covariance(self._seen, self._seen)
        covariance[np.diag_indices(len(values))] += self.noise + JITTER
        self._root = cholesky(covariance, lower=True, check_finite=False)
        self._weights = cho_solve(
            (self._root, True), (values - self.centre) / self.deviation, check_finite=False
        )

    def _covariance(self, a: FloatArray, b: FloatArray) -> FloatArray:
        """[K, L] for indicators a [K, S] and b [L, S]."""
        covariance: FloatArray = self.scale * np.exp(a @ self._tables.log @ b.T)
        return covariance

    def predict(self, candidates: IntArray) -> Prediction:
        """What is expected of candidates [P, D]."""
        cross = self._covariance(self._seen, self.kernel.encode(candidates))
        half = solve_triangular(self._root, cross, lower=True, check_finite=False)
        variance = np.maximum(self.scale - np.einsum("np,np->p", half, half), LEAST_VARIANCE)
        return Prediction(self._weights @ cross, variance, half)

    def values(self, standardised: FloatArray) -> FloatArray:
        """Standardised predictions in the unit of what was told."""
        return standardised * self.deviation + self.centre

    def expecting(self, prediction: Prediction, candidates: IntArray, chosen: int) -> Prediction:
        """After candidate number `chosen` turned out as expected: the mean stays, doubt shrinks."""
        one = self.kernel.encode(candidates[chosen : chosen + 1])
        cross = self._covariance(one, self.kernel.encode(candidates))[0]
        cross -= prediction.half[:, chosen] @ prediction.half
        row = cross / np.sqrt(prediction.variance[chosen] + self.noise)
        variance = np.maximum(prediction.variance - row**2, LEAST_VARIANCE)
        return Prediction(prediction.mean, variance, np.vstack([prediction.half, row]))


def prior(kernel: Kernel) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of the parameters before any trial, [W + 2] each."""
    mean = np.concatenate([kernel.prior[0], [SCALE_PRIOR[0], NOISE_PRIOR[0]]])
    spread = np.concatenate([kernel.prior[1], [SCALE_PRIOR[1], NOISE_PRIOR[1]]])
    return mean, spread


def fit(kernel: Kernel, candidates: IntArray, values: FloatArray, *, iterations: int) -> FloatArray:
    """The parameters [W + 2] of greatest posterior probability for values [n] of candidates [n, D]."""
    deviation = max(float(values.std()), 1e-12)
    target = (values - values.mean()) / deviation
    mean, spread = prior(kernel)
    shown = kernel.encode(candidates)

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        away = (parameters - mean) / spread
        value, gradient = _misfit(kernel, shown, target, parameters)
        return value + 0.5 * float(away @ away), gradient + away / spread

    found = minimize(loss, mean, jac=True, method="L-BFGS-B", options={"maxiter": iterations})
    best: FloatArray = found.x if np.isfinite(found.fun) else mean
    return best


def _misfit(
    kernel: Kernel, shown: FloatArray, target: FloatArray, parameters: FloatArray
) -> tuple[float, FloatArray]:
    """Negative log likelihood and its derivative [W + 2] (Rasmussen & Williams 2006, eq. 5.8 and 5.9)."""
    scale, noise = np.exp(parameters[-2:])
    tables = kernel.tables(parameters[:-2])
    signal = scale * np.exp(shown @ tables.log @ shown.T)
    count = len(target)
    try:
        root = cholesky(signal + (noise + JITTER) * np.eye(count), lower=True, check_finite=False)
    except LinAlgError:
        return float("inf"), np.zeros_like(parameters)
    weights = cho_solve((root, True), target, check_finite=False)
    value = 0.5 * float(target @ weights) + float(np.log(np.diag(root)).sum())
    inverse = cho_solve((root, True), np.eye(count), check_finite=False)
    by_covariance = 0.5 * (inverse - np.outer(weights, weights))
    by_log = by_covariance * signal
    pull = shown.T @ by_log @ shown
    by_tables = kernel.gradient(parameters[:-2], tables, pull)
    return value, np.concatenate([by_tables, [by_log.sum(), float(np.trace(by_covariance)) * noise]])
