"""How far a point would push a front outward: the hypervolume that it would add."""

from __future__ import annotations

from functools import cache

import moocore
import numpy as np
from scipy.special import gamma, ndtri

from widthwise.core.arrays import FloatArray

NODES = 12  # values at which one uncertain objective is tried
WIDER = 1.4
DIRECTIONS = 256  # rays along which the hypervolume of four and more objectives is measured


def nondominated(values: FloatArray) -> FloatArray:
    """The rows of values [n, M] that no other row dominates, each value once, [F, M]."""
    if not len(values):
        return values
    if values.shape[1] == 1:
        return np.asarray(values.max(axis=0, keepdims=True))
    front: FloatArray = values[np.asarray(moocore.is_nondominated(values, maximise=True))]
    return front


def spread_normals(count: int, columns: int) -> FloatArray:
    """Standard normal points [count, columns] spread evenly by an additive recurrence.

    Source: M. Roberts 2018, "The unreasonable effectiveness of quasirandom sequences".
    """
    root = 2.0
    for _ in range(32):  # the positive root of x^(columns + 1) = x + 1
        root = (1 + root) ** (1 / (columns + 1))
    steps = root ** -np.arange(1.0, columns + 1)
    return np.asarray(ndtri((0.5 + np.arange(1, count + 1)[:, None] * steps) % 1))


@cache
def normal_nodes(columns: int) -> tuple[FloatArray, FloatArray]:
    """Points [S, columns] and weights [S], by which a mean over independent standard normals is a sum.

    Gauss and Hermite's for one column. For more, points spread WIDER than normal, and weighted for it:
    what is unlikely counts too, for where nothing else is left it decides what is tried next.
    """
    if columns == 0:
        return np.zeros((1, 0)), np.ones(1)
    if columns == 1:
        points, weights = np.polynomial.hermite_e.hermegauss(NODES)
        return points[:, None], weights / weights.sum()
    narrow = spread_normals(4 * NODES, columns)
    points = WIDER * narrow
    weights = np.exp(0.5 * (narrow**2 - points**2).sum(axis=1))
    return points, weights / weights.sum()


def improvement(front: FloatArray, points: FloatArray) -> FloatArray:
    """Hypervolume above 0 that each of the points [..., M] would add to a front [F, M], [...].

    All objectives are to be maximised. Exact up to three objectives, estimated beyond. The points' last axis
    but one may run over what is possible for each.
    """
    if points.shape[-1] == 1:
        best = max(0.0, float(front.max())) if len(front) else 0.0
        return np.asarray(np.maximum(points[..., 0] - best, 0))
    front = front[(front > 0).all(axis=1)]
    if points.shape[-1] == 2:
        return _in_strips(front, points)
    if points.shape[-1] == 3:
        return _in_slices(front, points)
    return _along_rays(front, points)


def _in_strips(front: FloatArray, points: FloatArray) -> FloatArray:
    """Exact for two objectives: between neighbours of the front, the width covered times the height added."""
    front = front[np.lexsort((-front[:, 1], front[:, 0]))]
    left = np.concatenate([[0.0], front[:, 0]])
    height = np.concatenate([np.maximum.accumulate(front[::-1, 1])[::-1], [0.0]])
    widths = np.concatenate([np.diff(left), [np.inf]])
    covered = np.clip(points[..., 0, None] - left, 0, widths)
    return np.asarray((covered * np.maximum(points[..., 1, None] - height, 0)).sum(axis=-1))


def _in_slices(front: FloatArray, points: FloatArray) -> FloatArray:
    """Exact for three objectives: between neighbours in one of them, depth covered times area added."""
    along = int(np.argmax(np.ptp(points, axis=-2).reshape(-1, 3).sum(axis=0))) if points.ndim > 2 else 0
    front, points = np.roll(front, -along, axis=-1), np.roll(points, -along, axis=-1)
    across = points[..., 1:]
    if points.ndim > 2 and (across == across[..., :1, :]).all():
        across = across[..., :1, :]  # exactly known, so the same at all nodes
    ends = np.unique(front[:, 0])
    total = np.zeros(points.shape[:-1])
    for low, high in zip([0.0, *ends], [*ends, np.inf], strict=True):
        area = _in_strips(nondominated(front[front[:, 0] >= high, 1:]), across)
        total += np.clip(points[..., 0] - low, 0, high - low) * area
    return total


def _along_rays(front: FloatArray, points: FloatArray) -> FloatArray:
    """The mean over rays of the length gained to the power M (Zhang & Golovin 2020, lemma 5)."""
    objectives = points.shape[-1]
    rays = np.abs(spread_normals(DIRECTIONS, objectives))
    rays = np.maximum(rays / np.linalg.norm(rays, axis=1, keepdims=True), 1e-9)
    volume = np.pi ** (objectives / 2) / (2**objectives * gamma(objectives / 2 + 1))
    reached = np.zeros(DIRECTIONS)
    if len(front):
        reached = (front[:, None, :] / rays).min(axis=-1).max(axis=0) ** objectives
    total = np.zeros(points.shape[:-1])
    for ray, before in zip(rays, reached, strict=True):
        length = np.maximum((points / ray).min(axis=-1), 0)
        total += np.maximum(length**objectives - before, 0)
    return np.asarray(total * (volume / DIRECTIONS))
