"""A cost metric: a rough count of transistors, from the bits of each product."""

from __future__ import annotations

import numpy as np

from widthwise.core.arrays import FloatArray
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.cost.counts import NodeBits, NodeCounts

EACH = 6.0  # for a pair of bits that are multiplied


def transistors(counts: NodeCounts, bits: NodeBits) -> FloatArray:
    """Six for each pair of bits of every product of one sample, [K]."""
    total: FloatArray = np.asarray((counts.by_node("macs") * bits.data_in * bits.weight).sum(axis=1) * EACH)
    return total


TRANSISTORS = Metric(
    name="transistors",
    kind="cost",
    direction="minimize",
    unit="transistors",
    description="six for each pair of bits that are multiplied",
    low=0.0,
    source="widthwise_example.transistors:transistors",
)
