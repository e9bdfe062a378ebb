"""A Gaussian process over the choices, for many outputs at once that share one kernel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.strategies.frontier.kernel import Kernel

JITTER = 1e-8
SCALE_PRIOR = (0.5, 1.0)  # log of the variance, mean and spread
NOISE_PRIOR = (float(np.log(1e-3)), 1.5)  # log of the noise's share of the variance of what was told
LEAST_VARIANCE = 1e-10


@dataclass(frozen=True)
class Reach:
    """How P candidates relate to the n told: covariances and variance [P], in units of an output's own."""

    cross: FloatArray  # [n, P]
    half: FloatArray  # [n, P], L^-1 cross
    variance: FloatArray


class Process:
    """outputs ~ centre + size * GP(0, s k(x, x') + noise) for each column of outputs [n, S] by itself.

    log s and log noise are the last of `parameters`. Raises nothing: the jitter keeps covariances invertible.
    """

    def __init__(
        self, kernel: Kernel, candidates: IntArray, outputs: FloatArray, parameters: FloatArray
    ) -> None:
        self.kernel, self.outputs = kernel, outputs
        self.scale, self.noise = (float(value) for value in np.exp(parameters[-2:]))
        self._tables = kernel.tables(parameters[:-2])
        self._seen = kernel.encode(candidates)
        covariance = self._covariance(self._seen, self._seen)
        covariance[np.diag_indices(len(outputs))] += self.noise + JITTER
        self._root = cholesky(covariance, lower=True, check_finite=False)
        self.centre: FloatArray = outputs.mean(axis=0)
        self.weights: FloatArray = cho_solve((self._root, True), outputs - self.centre, check_finite=False)

    @property
    def sizes(self) -> FloatArray:
        """Standard deviation [S] of each output by what was told of it."""
        power = ((self.outputs - self.centre) * self.weights).mean(axis=0)
        return np.asarray(np.sqrt(np.maximum(power, LEAST_VARIANCE)))

    def _covariance(self, a: FloatArray, b: FloatArray) -> FloatArray:
        """[K, L] for indicators a [K, C] and b [L, C]."""
        covariance: FloatArray = self.scale * np.exp(a @ self._tables.log @ b.T)
        return covariance

    def reach(self, candidates: IntArray) -> Reach:
        """For candidates [P, D]."""
        cross = self._covariance(self._seen, self.kernel.encode(candidates))
        half = solve_triangular(self._root, cross, lower=True, check_finite=False)
        variance = np.maximum(self.scale - np.einsum("np,np->p", half, half), LEAST_VARIANCE)
        return Reach(cross, half, variance)

    def between(self, one: IntArray, candidates: IntArray) -> FloatArray:
        """Covariance [P] of one candidate [D] with candidates [P, D] before anything was told."""
        return self._covariance(self.kernel.encode(one[None]), self.kernel.encode(candidates)).ravel()

    @cached_property
    def left_out(self) -> tuple[FloatArray, FloatArray]:
        """Outputs [n, S] expected of each told candidate from all others, and the variance [n] of that.

        Source: Rasmussen & Williams 2006, eq. 5.12.
        """
        inverse = cho_solve((self._root, True), np.eye(len(self.outputs)), check_finite=False)
        variance = 1 / np.diag(inverse)
        return self.outputs - self.weights * variance[:, None], variance


def prior(kernel: Kernel) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of the parameters before any trial, [W + 2] each."""
    mean = np.concatenate([kernel.prior[0], [SCALE_PRIOR[0], NOISE_PRIOR[0]]])
    spread = np.concatenate([kernel.prior[1], [SCALE_PRIOR[1], NOISE_PRIOR[1]]])
    return mean, spread


def fit(kernel: Kernel, candidates: IntArray, outputs: FloatArray, *, iterations: int) -> FloatArray:
    """The parameters [W + 2] of greatest posterior probability for outputs [n, S] of candidates [n, D].

    Columns that say the same count once: S is replaced by the effective number of independent ones.
    """
    products = _products(outputs)
    mean, spread = prior(kernel)
    shown = kernel.encode(candidates)
    columns = np.trace(products) ** 2 / max(float((products**2).sum()), 1e-12)

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        away = (parameters - mean) / spread
        value, gradient = _misfit(kernel, shown, products, parameters)
        return columns * value + 0.5 * float(away @ away), columns * gradient + away / spread

    found = minimize(loss, mean, jac=True, method="L-BFGS-B", options={"maxiter": iterations})
    best: FloatArray = found.x if np.isfinite(found.fun) else mean
    return best


def _products(outputs: FloatArray) -> FloatArray:
    """Products [n, n] of the candidates' centred outputs, with a mean square of 1; 0 where all are equal."""
    centred = (outputs - outputs.mean(axis=0)).astype(np.float64)
    products = centred @ centred.T
    return np.asarray(products * (len(outputs) / max(float(np.trace(products)), 1e-24)))


def _misfit(
    kernel: Kernel, shown: FloatArray, products: FloatArray, parameters: FloatArray
) -> tuple[float, FloatArray]:
    """Negative log likelihood and its derivative [W + 2] (Rasmussen & Williams 2006, eq. 5.8 and 5.9)."""
    scale, noise = np.exp(parameters[-2:])
    tables = kernel.tables(parameters[:-2])
    signal = scale * np.exp(shown @ tables.log @ shown.T)
    count = len(products)
    try:
        root = cholesky(signal + (noise + JITTER) * np.eye(count), lower=True, check_finite=False)
    except LinAlgError:
        return float("inf"), np.zeros_like(parameters)
    inverse = cho_solve((root, True), np.eye(count), check_finite=False)
    explained = inverse @ products
    value = 0.5 * float(np.trace(explained)) + float(np.log(np.diag(root)).sum())
    by_covariance = 0.5 * (inverse - explained @ inverse)
    by_log = by_covariance * signal
    pull = shown.T @ by_log @ shown
    by_tables = kernel.gradient(parameters[:-2], tables, pull)
    return value, np.concatenate([by_tables, [by_log.sum(), float(np.trace(by_covariance)) * noise]])
