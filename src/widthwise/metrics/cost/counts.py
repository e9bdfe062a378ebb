"""What costs are computed from: what the nodes of candidates do and store, and the bits of their numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from widthwise.core.arrays import FloatArray
from widthwise.network.counting import NodeCost

FLOAT_BITS = 32  # of every number that has no format

Field = Literal[
    "macs",
    "other_flops",
    "fan_in",
    "outputs",
    "weight_elements",
    "bias_elements",
    "other_parameters",
    "buffer_elements",
    "averaged",
]
FIELDS: tuple[Field, ...] = get_args(Field)


@dataclass(frozen=True)
class NodeCounts:
    """What N nodes do for one sample and store, as `NodeCost` has it, in each of K candidates.

    candidates: K, or 1 where all of them do the same. nodes: N.
    by_node: the float array [K or 1, N] of a field ("averaged": 0 or 1). total: its sums over the nodes,
        [K or 1], which may be known for less work. Both are asked only for what a cost needs.
    """

    candidates: int
    nodes: int
    by_node: Callable[[Field], FloatArray]
    total: Callable[[Field], FloatArray]

    @classmethod
    def of(cls, nodes: Sequence[NodeCost]) -> NodeCounts:
        """Of one network."""
        columns = {
            field: np.array([[getattr(node, field) for node in nodes]], dtype=np.float64) for field in FIELDS
        }
        totals = {field: column.sum(axis=1) for field, column in columns.items()}
        return cls(1, len(nodes), columns.__getitem__, totals.__getitem__)


@dataclass(frozen=True)
class NodeBits:
    """Bits of K candidates' N nodes, float arrays [K, N], or [1, N] where all are alike.

    32 (32 * elements for totals) where float. Where a node multiplies two results (matmul), `weight` holds
    the bits of the second. Totals of tensors that a node does not have, or that another node stores already,
    are not looked at.
    """

    data_in: FloatArray  # of an element of the input
    weight: FloatArray  # of an element
    bias: FloatArray  # of an element
    weight_bits: FloatArray  # of the whole tensor as stored, scales and shared exponents included
    bias_bits: FloatArray  # of the whole tensor as stored
    stored: FloatArray | None = None  # of all copies of a weight that are stored; None: `weight`, of one
    copies: FloatArray | None = None  # how many; None: one
    compare_to: float = FLOAT_BITS  # bits of an element that memory_density compares with
    significant: Callable[[Literal["weight", "bias"]], FloatArray] | None = None
    """Bits from the first to the last that is set, mean over the elements of a node's weight or bias.

    Asked only for what a cost needs, as every weight is rounded for it. None: as many as an element has.
    """
    products: Callable[[Literal["width", "significant"]], FloatArray] | None = None
    """Bits of the input times those of the weight, mean over a node's products [K or 1, N]: its own ones, or
    those from the first to the last that is set. None: the product of the means, as where all are alike.
    """
    widest: Callable[[Literal["data_in", "weight"]], FloatArray] | None = None
    """Bits of the widest element [K or 1, N]; None: as many as the others have."""

    @classmethod
    def unquantised(
        cls, counts: NodeCounts, candidates: int = 1, *, compare_to: float = FLOAT_BITS
    ) -> NodeBits:
        """Everything in 32-bit floats."""
        each = np.full((candidates, counts.nodes), float(FLOAT_BITS))
        weights, biases = counts.by_node("weight_elements"), counts.by_node("bias_elements")
        return cls(each, each, each, each * weights, each * biases, compare_to=compare_to)
