"""Cost of many candidates at once, from what each node does and how many bits its numbers have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import UserError, unknown
from widthwise.metrics.catalogue import METRICS
from widthwise.network.counting import NodeCost

FLOAT_BITS = 32  # of every number that has no format
COSTS = tuple(name for name, metric in METRICS.items() if metric.kind == "cost")


@dataclass(frozen=True)
class NodeBits:
    """Bits of K candidates' N nodes, float arrays [K, N]; 32 (32 * elements for totals) where float.

    Where a node multiplies two results (matmul), `weight` holds the bits of the second. Totals of tensors
    that a node does not have, or that another node stores already, are not looked at.
    """

    data_in: FloatArray  # of an element of the input
    weight: FloatArray  # of an element
    bias: FloatArray  # of an element
    weight_bits: FloatArray  # of the whole tensor as stored, scales and shared exponents included
    bias_bits: FloatArray  # of the whole tensor as stored

    @classmethod
    def unquantised(cls, nodes: Sequence[NodeCost], candidates: int = 1) -> NodeBits:
        """Everything in 32-bit floats."""
        each = np.full((candidates, len(nodes)), float(FLOAT_BITS))
        weights, biases = _column(nodes, "weight_elements"), _column(nodes, "bias_elements")
        return cls(each, each, each, each * weights, each * biases)


def cost_metrics(
    names: Sequence[str], nodes: Sequence[NodeCost], bits: NodeBits, *, compare_to: float = FLOAT_BITS
) -> dict[str, FloatArray]:
    """Each named metric of each candidate, [K]. Raises UserError for a name that is no cost metric.

    parameters        weights, biases and other trained numbers, each once however often it is used.
    model_size        bytes that the exported network must store: weights and biases in their formats (scales
                      and shared exponents included); as 32-bit floats the other parameters, and the buffers
                      that inference needs (a norm's running mean and variance, not its step counter). Bits
                      are packed; what a file format adds is not counted.
    average_bitwidth  bits of a weight, averaged over all weights of linear, convolution, embedding and
                      attention layers, 32 for float ones. As the lab has it, except that its own mean skips a
                      layer that is left unquantised (and is 32 if all are): equal where every such layer is
                      quantised.
    memory_density    `compare_to` bits / average_bitwidth.
    macs, flops       of one sample; flops = 2 macs + all other arithmetic (see counting.py).
    bops              sum over the nodes of MACs (b_a b_w + b_a + b_w + log2(fan-in)) for one sample, b_a and
                      b_w the bits of an input and of a weight: b_a b_w for the product, the rest is the width
                      of the accumulator that it is added to. Source: Baskin et al. 2021, UNIQ (ACM TOCS 37,
                      arXiv 1804.10969), section 4.2, with m n k^2 (b_a b_w + b_a + b_w + log2(n k^2)) at each
                      position of a k x k convolution from n to m channels; for jets in Hawks et al. 2021, Ps
                      and Qs (Frontiers in AI 4). Arithmetic other than MACs has no part in it.
    """
    shape = (len(bits.weight), len(nodes))
    for field in ("data_in", "weight", "bias", "weight_bits", "bias_bits"):
        if getattr(bits, field).shape != shape:
            raise ValueError(f"bits.{field} is {getattr(bits, field).shape}; it must be [K, N] = {shape}")
    return {name: _cost(name, nodes, bits, compare_to) for name in names}


def _cost(name: str, nodes: Sequence[NodeCost], bits: NodeBits, compare_to: float) -> FloatArray:
    match name:
        case "model_size":
            return _model_size(nodes, bits)
        case "average_bitwidth":
            return _average_bitwidth(nodes, bits)
        case "memory_density":
            return compare_to / _average_bitwidth(nodes, bits)
        case "bops":
            return _bops(nodes, bits)
    return _constant(bits, _bitless(name, nodes))


def _bitless(name: str, nodes: Sequence[NodeCost]) -> int:
    """A cost that is the same in every format."""
    match name:
        case "parameters":
            return sum(n.weight_elements + n.bias_elements + n.other_parameters for n in nodes)
        case "macs":
            return sum(n.macs for n in nodes)
        case "flops":
            return sum(2 * n.macs + n.other_flops for n in nodes)
    if name in METRICS:
        raise UserError(f"{name} is a quality metric: it needs predictions")
    raise unknown("cost metric", name, COSTS)


def _model_size(nodes: Sequence[NodeCost], bits: NodeBits) -> FloatArray:
    floats = sum(node.other_parameters + node.buffer_elements for node in nodes)
    has_weight, has_bias = _column(nodes, "weight_elements") > 0, _column(nodes, "bias_elements") > 0
    total = bits.weight_bits @ has_weight.astype(np.float64) + bits.bias_bits @ has_bias.astype(np.float64)
    return (total + FLOAT_BITS * floats) / 8


def _average_bitwidth(nodes: Sequence[NodeCost], bits: NodeBits) -> FloatArray:
    elements = _column(nodes, "weight_elements") * _column(nodes, "averaged")
    if not elements.any():
        return _constant(bits, FLOAT_BITS)
    average: FloatArray = bits.weight @ elements / elements.sum()
    return average


def _bops(nodes: Sequence[NodeCost], bits: NodeBits) -> FloatArray:
    macs = _column(nodes, "macs")
    accumulating = float(macs @ np.log2(np.maximum(_column(nodes, "fan_in"), 1)))
    per_mac = (
        bits.data_in * bits.weight
    )  # in place from here on: at 10^5 candidates memory traffic is the cost
    per_mac += bits.data_in
    per_mac += bits.weight
    total: FloatArray = per_mac @ macs + accumulating
    return total


def _constant(bits: NodeBits, value: float) -> FloatArray:
    return np.full(len(bits.weight), float(value))


def _column(nodes: Sequence[NodeCost], field: str) -> FloatArray:
    """One field of every node, [N]."""
    return np.array([getattr(node, field) for node in nodes], dtype=np.float64)
