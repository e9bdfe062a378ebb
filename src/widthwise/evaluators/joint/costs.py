"""Costs of networks that differ in their widths and in their formats, exactly, before any is trained."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.evaluators.engine.costs import Costs, NeedsWeightsError, needs_weights
from widthwise.formats.base import Format
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.cost.formulas import cost_metrics, cost_of_graph
from widthwise.metrics.cost.of_widths import WidthCosts
from widthwise.metrics.table_file import TableFile
from widthwise.network.graph import Graph
from widthwise.network.passes.equalise import made_ready
from widthwise.network.passes.metadata import propagate
from widthwise.network.widths.resize import at_sizes, recaptured
from widthwise.spaces.joint import JointSpace
from widthwise.spaces.slots import slot_choices

CHUNK = 4096  # candidates at a time
MOST_SHAPES = 256  # networks that are looked at one by one, where counts don't tell
KEPT_SHAPES = 32


class JointCosts:
    """Costs of candidates of a joint space that follow from shapes and formats alone.

    Counts of what the layers do are polynomials of the sizes (`WidthCosts`), bits of numbers are those of the
    network as it is. Where the bits of a tensor depend on more than how many elements it has (scales, blocks,
    tensors that several layers share), a network of each shape is looked at by itself, if there are few.

    Args:
        graph, space: the network as it is, its batch norms folded or not, and what may be chosen.
        of_formats: the costs of its formats. example: arguments that it takes; samples: see `WidthCosts`.
    """

    def __init__(
        self,
        graph: Graph,
        space: JointSpace,
        of_formats: Costs,
        example: Sequence[Any],
        *,
        samples: int | None = None,
    ) -> None:
        self.graph, self.space, self.of_formats = graph, space, of_formats
        self.samples = samples
        self.example = tuple(x[:1] if samples is None and isinstance(x, Tensor) else x for x in example)
        self._shapes: OrderedDict[tuple[int, ...], Costs] = OrderedDict()

    def known(self, metrics: Sequence[Metric]) -> tuple[Metric, ...]:
        """Those of the metrics that are known before weights are."""
        if not self._by_counts and self._shape_count > MOST_SHAPES:
            return ()
        first = self.space.at([0])
        return tuple(metric for metric in metrics if self._follows(metric, first))

    def __call__(self, metrics: Sequence[Metric], candidates: IntArray) -> dict[str, FloatArray]:
        """Each of the known costs [K] by name for candidates [K, D]."""
        if not metrics:
            return {}
        costs = self._counted if self._by_counts else self._shape_by_shape
        starts = range(0, max(len(candidates), 1), CHUNK)
        parts = [costs(metrics, candidates[start : start + CHUNK]) for start in starts]
        return {metric.name: np.concatenate([part[metric.name] for part in parts]) for metric in metrics}

    def _follows(self, metric: Metric, first: IntArray) -> bool:
        """Whether a cost follows from counts and bits."""
        if isinstance(metric.source, TableFile) or cost_of_graph(metric) is not None:
            return False
        try:
            self._counted([metric], first) if self._by_counts else self._shape_by_shape([metric], first)
        except NeedsWeightsError:
            return False
        return True

    def _counted(self, metrics: Sequence[Metric], candidates: IntArray) -> dict[str, FloatArray]:
        widths, formats = self.space.apart(candidates)
        counts = self._width_costs.counts(self.space.widths.size_table(widths))
        bits = self.of_formats.node_bits(slot_choices(self.space.formats.slots, formats))
        bits = replace(
            bits,
            weight_bits=bits.weight * counts.by_node("weight_elements"),
            bias_bits=bits.bias * counts.by_node("bias_elements"),
            significant=needs_weights,
        )
        return cost_metrics(metrics, counts, bits)

    def _shape_by_shape(self, metrics: Sequence[Metric], candidates: IntArray) -> dict[str, FloatArray]:
        widths, formats = self.space.apart(candidates)
        sizes = self.space.widths.size_table(widths)
        shapes, which = np.unique(sizes, axis=0, return_inverse=True)
        found = {metric.name: np.empty(len(candidates)) for metric in metrics}
        for number, shape in enumerate(shapes):
            rows, costs = np.flatnonzero(which == number), self._of_shape(shape)
            bits = replace(
                costs.node_bits(slot_choices(self.space.formats.slots, formats[rows])),
                significant=needs_weights,
            )
            for name, values in cost_metrics(metrics, costs.counts, bits).items():
                found[name][rows] = values
        return found

    def _of_shape(self, sizes: IntArray) -> Costs:
        """The costs of formats in the network of these sizes [groups]."""
        key = tuple(sizes.tolist())
        if key not in self._shapes:
            self._shapes[key] = self._looked_at(dict(zip(self._groups, key, strict=True)))
        self._shapes.move_to_end(key)
        while len(self._shapes) > KEPT_SHAPES:
            self._shapes.popitem(last=False)
        return self._shapes[key]

    def _looked_at(self, sizes: dict[str, int]) -> Costs:
        floats = self.graph.unfolded or self.graph
        made = recaptured(floats, at_sizes(floats.network, self.space.widths.groups, sizes))
        made.model.eval()
        made = made_ready(made, folded=bool(self.graph.folded), equalised=bool(self.graph.equalised))
        metas = propagate(made, self.example, samples=self.samples or 1)
        nodes = [meta.cost for meta in metas.values() if meta.cost is not None]
        formats = self.space.formats_of(made)
        return Costs(made, formats.slots, nodes, self.of_formats.compare_to, untied=formats.untie)

    @property
    def _groups(self) -> list[str]:
        return [choice.group for choice in self.space.widths.choices]

    @property
    def _shape_count(self) -> int:
        return self.space.widths.size

    @cached_property
    def _by_counts(self) -> bool:
        """Whether the bits of every tensor are those of an element times how many there are."""
        formats = [
            fmt for slot in self.space.formats.slots if slot.tensor != "data_in" for fmt in slot.formats
        ]
        plain = all(fmt is None or _is_plain(fmt) for fmt in formats)
        if not plain or self.of_formats.shared or self.graph.unfolded is not None:
            return False
        if self.of_formats.has_parts:
            return False
        names = [node.name for node in self.of_formats.nodes]
        sizes = np.array([self.space.widths.groups[name].size for name in self._groups])
        return names == [node.name for node in self._width_costs.nodes(sizes)]

    @cached_property
    def _width_costs(self) -> WidthCosts:
        widths = self.space.widths
        return WidthCosts(
            self.graph,
            widths.groups,
            self.example,
            varying=self._groups,
            largest=widths.largest,
            samples=self.samples,
        )


def _is_plain(fmt: Format) -> bool:
    """Whether a tensor takes just the bits of its elements, whatever its shape."""
    return type(fmt).storage_bits is Format.storage_bits and float(fmt.bits).is_integer()
