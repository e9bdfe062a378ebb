"""How far a point would push a front outward: the hypervolume that it would add, all objectives to be maximised."""

from __future__ import annotations

import moocore
import numpy as np
from scipy.special import gamma, ndtri

from widthwise.space import FloatArray

DIRECTIONS = 512  # rays along which the hypervolume of three and more objectives is measured
NODES = 16  # values at which an uncertain objective is tried


def nondominated(values: FloatArray) -> FloatArray:
    """The rows of values [n, M] that no other row dominates, each value once, [F, M]."""
    front: FloatArray = values[moocore.is_nondominated(values, maximise=True)]
    return front


def spread_normals(nodes: int, columns: int) -> FloatArray:
    """Standard normal points [nodes, columns] that are spread evenly: quantiles, or an additive recurrence.

    Source of the recurrence: M. Roberts 2018, "The unreasonable effectiveness of quasirandom sequences".
    """
    if columns <= 1:
        points = (np.arange(nodes)[:, None] + 0.5) / nodes
        return np.asarray(ndtri(points[:, :columns]))
    root = 2.0
    for _ in range(32):  # the positive root of x^(columns + 1) = x + 1
        root = (1 + root) ** (1 / (columns + 1))
    steps = root ** -np.arange(1.0, columns + 1)
    return np.asarray(ndtri((0.5 + np.arange(1, nodes + 1)[:, None] * steps) % 1))


def improvement(front: FloatArray, points: FloatArray) -> FloatArray:
    """Hypervolume above 0 that each of the points [..., M] would add to a front [F, M], [...]; estimated for M > 2."""
    if points.shape[-1] == 1:
        best = max(0.0, float(front.max())) if len(front) else 0.0
        return np.asarray(np.maximum(points[..., 0] - best, 0))
    front = front[(front > 0).all(axis=1)]
    if points.shape[-1] == 2:
        return _in_strips(front, points)
    return _along_rays(front, points)


def _in_strips(front: FloatArray, points: FloatArray) -> FloatArray:
    """Exact for two objectives: between neighbours of the front, the width covered times the height added."""
    front = front[np.lexsort((-front[:, 1], front[:, 0]))]
    left = np.concatenate([[0.0], front[:, 0]])
    height = np.concatenate([np.maximum.accumulate(front[::-1, 1])[::-1], [0.0]])
    widths = np.concatenate([np.diff(left), [np.inf]])
    covered = np.clip(points[..., 0, None] - left, 0, widths)
    return np.asarray((covered * np.maximum(points[..., 1, None] - height, 0)).sum(axis=-1))


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
    return total * (volume / DIRECTIONS)
