"""Costs of any number of widths at once, exactly: counts are quadratic polynomials in the groups' sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import combinations as pairs_of
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.cost.counts import FIELDS, FLOAT_BITS, Field, NodeBits, NodeCounts
from widthwise.metrics.cost.formulas import cost_metrics
from widthwise.metrics.cost.sizes import layer_choices
from widthwise.metrics.cost.table import Choice, Choices, Column, Tables, combinations
from widthwise.network.counting import NodeCost
from widthwise.network.graph import Graph
from widthwise.network.passes.metadata import propagate
from widthwise.network.widths.groups import Groups, Layout, node_name
from widthwise.network.widths.resize import at_sizes, recaptured

Counts = NDArray[np.int64]
Pairs = Sequence[tuple[int, int]]
CHUNK = 16384  # candidates at a time
WHOLE = 2.0**53  # up to here floats are whole numbers


class WidthCosts:
    """Cost metrics of networks that differ in the sizes of some groups.

    A layer's counts are products of at most two sizes that are each linear in the groups' sizes, so as many
    networks as a quadratic polynomial has coefficients fix the counts of all others; only groups that meet in
    a layer have a product. Two further networks are counted to check this; where it doesn't hold, every
    network is counted by itself.

    Args:
        graph, groups, example: the network, its groups, arguments that it takes.
        varying: the names of the groups whose sizes vary, in the order of the tables' columns.
        largest: their greatest sizes, at which the polynomials are checked.
        samples: in the example, for a network that takes just so many; None: it is run on the first alone.
    """

    def __init__(
        self,
        graph: Graph,
        groups: Groups,
        example: Sequence[Any],
        *,
        varying: Sequence[str],
        largest: Mapping[str, int],
        samples: int | None = None,
    ) -> None:
        self.graph, self.groups, self.samples = graph, groups, samples or 1
        self._tables = Tables()
        cut = samples is None
        self.example = tuple(x[:1] if cut and isinstance(x, Tensor) else x for x in example)
        self.varying = list(varying)
        self.steps = np.array([groups[name].blocks for name in self.varying], dtype=np.int64)
        self.pairs = _meeting(groups, self.varying)
        # Newton's form: at whole numbers from 0 the coefficients are finite differences, which are whole too
        self.points = _points(len(self.varying), self.pairs)
        counted = np.stack([self._counted((1 + point) * self.steps) for point in self.points])
        self.coefficients = _differences(self.points, self.pairs, counted)
        self.exact = self._agreeing(largest)

    def __call__(
        self, metrics: Sequence[Metric], sizes: IntArray, *, compare_to: float = FLOAT_BITS
    ) -> dict[str, FloatArray]:
        """Each of the costs [K] by name, in floats, for sizes [K, groups] in the order of `varying`.

        Raises UserError for metrics that are no costs.
        """
        tables = self._tables.of(metrics)
        counted = [metric for metric in metrics if metric.name not in tables]
        parts = []
        for start in range(0, max(len(sizes), 1), CHUNK):
            some = sizes[start : start + CHUNK]
            counts = self.counts(some)
            bits = NodeBits.unquantised(counts, compare_to=compare_to)
            found = cost_metrics(counted, counts, bits) if counted else {}
            if tables:
                choices = self._choices(some)
                found |= {name: table(choices, len(some)) for name, table in tables.items()}
            parts.append(found)
        return {metric.name: np.concatenate([part[metric.name] for part in parts]) for metric in metrics}

    def check(self, metrics: Sequence[Metric], possible: Sequence[Sequence[int]]) -> None:
        """Raises UserError where a table lacks what candidates may have; possible: sizes of each group."""
        for table in self._tables.of(metrics).values():
            table.check(self._possible(possible), sorted(self._resized))

    def _possible(self, possible: Sequence[Sequence[int]]) -> Choices:
        """As `_choices`, with all that each layer may have by itself."""
        found = {}
        for layer in self.graph.layers:
            owned = [name for name in self.varying if layer.name in self._owners(name)]
            places = [self.varying.index(name) for name in owned]
            rows = combinations([len(possible[place]) for place in places])
            sizes = np.array([[options[0] for options in possible]] * len(rows), dtype=np.int64)
            for column, place in zip(rows.T, places, strict=True):
                sizes[:, place] = np.array(possible[place])[column]
            found[layer.name] = self._choices(sizes)[layer.name]
        return found

    def _owners(self, name: str) -> set[str]:
        return {node_name(member.owner) for member in self.groups[name].members}

    @property
    def _resized(self) -> set[str]:
        """Layers with products, and sizes that vary: what a table has to have."""
        owners = set().union(*map(self._owners, self.varying))
        weights = {layer.name: layer.stored.get("weight", ()) for layer in self.graph.layers}
        return {name for name, stored in weights.items() if stored and stored[0].whole.ndim > 1} & owners

    def _choices(self, sizes: IntArray) -> Choices:
        """What the layers of networks of these sizes [K, groups] have, as tables of costs know it."""
        found = {layer.name: dict(layer_choices(layer)) for layer in self.graph.layers}
        for member, layout in self.groups.layouts.items():
            layer = found.get(node_name(member.owner))
            if layer is not None and "size" in layer:
                column: Column = "size" if member.side == "out" else "input_size"
                labels, codes = np.unique(self._channels(layout, sizes), return_inverse=True)
                layer[column] = Choice(labels.tolist(), codes)
        return found

    def _channels(self, layout: Layout, sizes: IntArray) -> IntArray:
        """How many channels a side has, [K]: units of a group may be several there, as after flattening."""
        total = np.full(len(sizes), len(layout.group), dtype=np.int64)
        for column, name in enumerate(self.varying):
            group = self.groups[name]
            here = int((layout.group == self.groups.index(group)).sum())
            total += here * (sizes[:, column] - group.size) // group.size
        return total

    def counts(self, sizes: IntArray) -> NodeCounts:
        """What the nodes of the networks of sizes [K, groups] do and store, a field at a time."""
        terms = _terms(sizes // self.steps - 1, self.pairs)  # [K, coefficients]
        nodes = self.coefficients.shape[1]

        @cache
        def counted() -> Counts:
            rows = [self._counted(row) for row in sizes]
            return np.stack(rows) if rows else np.empty((0, nodes, len(FIELDS)), dtype=np.int64)

        @cache
        def by_node(field: Field) -> FloatArray:
            column = FIELDS.index(field)
            if field not in self.exact:
                table: FloatArray = counted()[..., column].astype(np.float64)
                return table
            coefficients = self.coefficients[..., column]
            some = coefficients.any(axis=0)  # most nodes have none of most fields
            found = np.zeros((len(sizes), nodes))
            found[:, some] = _product(terms, coefficients[:, some])
            return found

        def total(field: Field) -> FloatArray:
            column = FIELDS.index(field)
            if field not in self.exact:
                table: FloatArray = by_node(field).sum(axis=1)
                return table
            return _product(terms, self.coefficients[..., column].sum(axis=1))

        return NodeCounts(len(sizes), nodes, by_node, total)

    def _agreeing(self, largest: Mapping[str, int]) -> frozenset[str]:
        """The fields that the polynomials have right at two further networks."""
        top = np.array([largest[name] for name in self.varying])
        wrong: set[str] = set()
        for sizes in (top, np.maximum(top // 2 // self.steps, 1) * self.steps):
            differs = (self._evaluated(sizes[None])[0] != self._counted(sizes)).any(axis=0)
            wrong |= {field for field, differs_here in zip(FIELDS, differs, strict=True) if differs_here}
        return frozenset(FIELDS) - wrong

    def nodes(self, sizes: IntArray) -> list[NodeCost]:
        """What each node of one network does, for sizes [groups], counted on the network itself."""
        wanted = dict(zip(self.varying, (int(size) for size in sizes), strict=True))
        made = recaptured(self.graph, at_sizes(self.graph.network, self.groups, wanted))
        metas = propagate(made, self.example, samples=self.samples)
        return [meta.cost for meta in metas.values() if meta.cost is not None]

    def _counted(self, sizes: IntArray) -> Counts:
        """[nodes, fields] of one network."""
        return np.array([[getattr(node, field) for field in FIELDS] for node in self.nodes(sizes)])

    def _evaluated(self, sizes: IntArray) -> Counts:
        """[K, nodes, fields] of the polynomials at sizes [K, groups]."""
        terms = _terms(sizes // self.steps - 1, self.pairs)  # [K, coefficients]
        flat = terms @ self.coefficients.reshape(len(self.points), -1)
        return flat.reshape(len(sizes), *self.coefficients.shape[1:])


def _meeting(groups: Groups, varying: Sequence[str]) -> Pairs:
    """The pairs of groups, by their places, that some layer has both of."""
    owners = [{member.owner for member in groups[name].members} for name in varying]
    return [(a, b) for a, b in pairs_of(range(len(owners)), 2) if owners[a] & owners[b]]


def _points(groups: int, pairs: Pairs) -> IntArray:
    """Where the network is counted: at 0, 1 and 2 of each group and 1 of each pair, [points, groups]."""
    unit = np.eye(groups, dtype=np.int64)
    both = [unit[a] + unit[b] for a, b in pairs]
    return np.array([np.zeros(groups, dtype=np.int64), *unit, *(2 * unit), *both])


def _terms(points: IntArray, pairs: Pairs) -> IntArray:
    """Newton's terms of the polynomial at points [K, groups]: 1, x, x (x - 1) / 2, x y: [K, coefficients]."""
    products = [points[:, a] * points[:, b] for a, b in pairs]
    squares = points * (points - 1) // 2
    return np.stack([np.ones(len(points), dtype=np.int64), *points.T, *squares.T, *products], axis=1)


def _differences(points: IntArray, pairs: Pairs, values: Counts) -> Counts:
    """Coefficients [points, ...] of the polynomial that has these values [points, ...] at the points."""
    groups = points.shape[1]
    base, first, second = values[0], values[1 : 1 + groups], values[1 + groups : 1 + 2 * groups]
    mixed = [
        values[1 + 2 * groups + number] - first[a] - first[b] + base for number, (a, b) in enumerate(pairs)
    ]
    return np.stack([base, *(first - base), *(second - 2 * first + base), *mixed])


def _product(terms: IntArray, coefficients: Counts) -> FloatArray:
    """Terms [K, t] times coefficients [t, ...], exactly: in floats, far faster, where they hold it."""
    most = np.abs(terms).max(axis=0, initial=0).astype(np.float64) @ np.abs(coefficients).astype(np.float64)
    if np.max(most, initial=0) < WHOLE:
        found: FloatArray = terms.astype(np.float64) @ coefficients.astype(np.float64)
        return found
    return (terms @ coefficients).astype(np.float64)
