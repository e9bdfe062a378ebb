"""Costs of any number of widths at once, exactly: counts are quadratic polynomials in the groups' sizes."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import unknown
from widthwise.metrics.cost.formulas import COSTS, FLOAT_BITS
from widthwise.network.counting import NodeCost
from widthwise.network.graph import Graph
from widthwise.network.passes.metadata import propagate
from widthwise.network.widths.groups import Groups
from widthwise.network.widths.resize import resized

FIELDS = (
    "macs",
    "other_flops",
    "fan_in",
    "weight_elements",
    "bias_elements",
    "other_parameters",
    "buffer_elements",
)
Counts = NDArray[np.int64]
CHUNK = 16384  # candidates at a time


class WidthCosts:
    """Cost metrics of networks that differ in the sizes of some groups.

    A layer's counts are products of at most two sizes that are each linear in the groups' sizes, so as many
    networks as a quadratic polynomial has coefficients fix the counts of all others. Two further networks are
    counted to check this; where it doesn't hold, every network is counted by itself.

    Args:
        graph, groups, example: the network, its groups, arguments that it takes.
        varying: the names of the groups whose sizes vary, in the order of the tables' columns.
        largest: their greatest sizes, at which the polynomials are checked.
    """

    def __init__(
        self,
        graph: Graph,
        groups: Groups,
        example: Sequence[Any],
        *,
        varying: Sequence[str],
        largest: Mapping[str, int],
    ) -> None:
        self.graph, self.groups = graph, groups
        self.example = tuple(x[:1] if isinstance(x, Tensor) else x for x in example)
        self.varying = list(varying)
        self.steps = np.array([groups[name].blocks for name in self.varying], dtype=np.int64)
        # Newton's form: at whole numbers from 0 the coefficients are finite differences, which are whole too
        self.points = _points(len(self.varying))
        counted = np.stack([self._counted((1 + point) * self.steps) for point in self.points])
        self.coefficients = _differences(self.points, counted)
        self.exact = self._agreeing(largest)

    def __call__(
        self, names: Sequence[str], sizes: IntArray, *, compare_to: float = FLOAT_BITS
    ) -> dict[str, FloatArray]:
        """Each named cost [K] for sizes [K, groups] in the order of `varying`; UserError for other names."""
        parts = [
            self._costs(names, sizes[start : start + CHUNK], compare_to)
            for start in range(0, max(len(sizes), 1), CHUNK)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in names}

    def _agreeing(self, largest: Mapping[str, int]) -> frozenset[str]:
        """The fields that the polynomials have right at two further networks."""
        top = np.array([largest[name] for name in self.varying])
        wrong: set[str] = set()
        for sizes in (top, np.maximum(top // 2 // self.steps, 1) * self.steps):
            differs = (self._evaluated(sizes[None])[0] != self._counted(sizes)).any(axis=0)
            wrong |= {field for field, differs_here in zip(FIELDS, differs, strict=True) if differs_here}
        return frozenset(FIELDS) - wrong

    def _costs(self, names: Sequence[str], sizes: IntArray, compare_to: float) -> dict[str, FloatArray]:
        # a transposed convolution's fan-in is a rounded mean, which only bops looks at
        needed = set(FIELDS) if "bops" in names else set(FIELDS) - {"fan_in"}
        if needed <= self.exact or not len(sizes):
            terms = _terms(sizes // self.steps - 1)  # [K, coefficients]
            totals = terms @ self.coefficients.sum(axis=1)
            by_node = self._evaluated(sizes) if "bops" in names else None
        else:
            by_node = np.stack([self._counted(row) for row in sizes])
            totals = by_node.sum(axis=1)
        return {name: _cost(name, totals, by_node, compare_to) for name in names}

    def nodes(self, sizes: IntArray) -> list[NodeCost]:
        """What each node of one network does, for sizes [groups], counted on the network itself."""
        wanted = dict(zip(self.varying, (int(size) for size in sizes), strict=True))
        made = copy.copy(self.graph)
        made.model = resized(self.graph.model, self.groups, wanted, weights="scratch")
        return [meta.cost for meta in propagate(made, self.example).values() if meta.cost is not None]

    def _counted(self, sizes: IntArray) -> Counts:
        """[nodes, fields] of one network."""
        return np.array([[getattr(node, field) for field in FIELDS] for node in self.nodes(sizes)])

    def _evaluated(self, sizes: IntArray) -> Counts:
        """[K, nodes, fields] of the polynomials at sizes [K, groups]."""
        terms = _terms(sizes // self.steps - 1)  # [K, coefficients]
        flat = terms @ self.coefficients.reshape(len(self.points), -1)
        return flat.reshape(len(sizes), *self.coefficients.shape[1:])


def _points(groups: int) -> IntArray:
    """Where the network is counted: the points of whole numbers with a sum of at most 2, [points, groups]."""
    unit = np.eye(groups, dtype=np.int64)
    pairs = [unit[a] + unit[b] for a, b in combinations(range(groups), 2)]
    return np.array([np.zeros(groups, dtype=np.int64), *unit, *(2 * unit), *pairs])


def _terms(points: IntArray) -> IntArray:
    """Newton's terms of the polynomial at points [K, groups]: 1, x, x (x - 1) / 2, x y: [K, coefficients]."""
    groups = points.shape[1]
    pairs = [points[:, a] * points[:, b] for a, b in combinations(range(groups), 2)]
    squares = points * (points - 1) // 2
    return np.stack([np.ones(len(points), dtype=np.int64), *points.T, *squares.T, *pairs], axis=1)


def _differences(points: IntArray, values: Counts) -> Counts:
    """Coefficients [points, ...] of the polynomial that has these values [points, ...] at the points."""
    groups = points.shape[1]
    base, first, second = values[0], values[1 : 1 + groups], values[1 + groups : 1 + 2 * groups]
    mixed = [
        values[1 + 2 * groups + number] - first[a] - first[b] + base
        for number, (a, b) in enumerate(combinations(range(groups), 2))
    ]
    return np.stack([base, *(first - base), *(second - 2 * first + base), *mixed])


def _cost(name: str, totals: Counts, by_node: Counts | None, compare_to: float) -> FloatArray:
    """One cost [K] of float networks from their counts, as metrics.cost has it.

    totals: sums over the nodes, [K, fields]; by_node: [K, nodes, fields], where the cost needs it.
    """
    columns: FloatArray = totals.astype(np.float64).T
    macs, flops, _, weights, biases, others, buffers = columns
    parameters = weights + biases + others
    simple: dict[str, FloatArray] = {
        "parameters": parameters,
        "macs": macs,
        "flops": 2 * macs + flops,
        "model_size": (parameters + buffers) * FLOAT_BITS / 8,
        "average_bitwidth": np.full(len(totals), float(FLOAT_BITS)),
        "memory_density": np.full(len(totals), compare_to / FLOAT_BITS),
    }
    if name in simple:
        return simple[name]
    if name != "bops" or by_node is None:
        raise unknown("cost metric", name, COSTS)
    per_mac = FLOAT_BITS**2 + 2 * FLOAT_BITS + np.log2(np.maximum(by_node[..., FIELDS.index("fan_in")], 1))
    total: FloatArray = (by_node[..., FIELDS.index("macs")] * per_mac).sum(axis=1)
    return total
