"""Metrics as a plug-in has them: a cost by a formula of its own, a quality made of one of torchmetrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from widthwise.metrics.catalogue import Metric

if TYPE_CHECKING:
    from widthwise.core.arrays import FloatArray
    from widthwise.metrics.cost.counts import NodeBits, NodeCounts

CELLS = Metric(
    "cells", "cost", "minimize", "cells", "a guess of an FPGA's", 0.0, source="helpers.cells:cells"
)
WORST = Metric(
    "worst", "quality", "maximize", "share", "least recall", 0.0, 1.0, source="helpers.cells:worst"
)


def cells(counts: NodeCounts, bits: NodeBits) -> FloatArray:
    """Two for each bit of a weight that something is multiplied with, [K]."""
    return 2 * bits.weight @ counts.by_node("macs")[0]


def worst(num_classes: int) -> Any:
    """The recall of the class that has the least, as a metric of torchmetrics."""
    from torchmetrics.classification import MulticlassRecall

    class Worst(MulticlassRecall):
        def compute(self) -> Any:
            return super().compute().min()

    return Worst(num_classes, average=None)
