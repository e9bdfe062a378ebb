"""The costs of many candidates at once, a function each, found by what a metric names as its source.

A cost is a function of what the network's N nodes do and store, and of the bits of their numbers; either may
differ between K candidates. A metric of kind "cost" names it: `source="my_package.my_module:my_cost"`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.metrics.catalogue import Metric, computing
from widthwise.metrics.cost.counts import FLOAT_BITS, NodeBits, NodeCounts
from widthwise.metrics.table_file import TableFile

if TYPE_CHECKING:
    from pathlib import Path

    from widthwise.network.graph import Graph

Cost = Callable[[NodeCounts, NodeBits], FloatArray]  # gives [K], or [1] where all candidates have the same


class OfGraph(Protocol):
    """A cost that no counts tell: what a metric names as its source has this too."""

    def of_graph(
        self, graph: Graph, slots: Sequence[Any], example: tuple[Any, ...], shared: dict[str, Any]
    ) -> Callable[[IntArray], FloatArray]:
        """The costs [K] of a network for the indices [K, S] of the formats of its slots.

        shared: what such costs of this network have in common, by a name of theirs, for each to add and use;
        what of it `KeepsTables` is given the run's folder.
        Raises UserError for a network that has no such cost.
        """
        ...


@runtime_checkable
class KeepsTables(Protocol):
    """What takes long to find, and may be kept for later."""

    def keep_in(self, folder: Path) -> None:
        """From now on, keep it in a folder, and use what the folder keeps."""
        ...


@runtime_checkable
class GivesReasons(Protocol):
    """What is NaN for some candidates, and knows why."""

    def reasons(self, chosen: IntArray) -> Mapping[int, str]:
        """Why, by row of the format indices [K, S]."""
        ...


def cost_of_graph(metric: Metric) -> OfGraph | None:
    """What computes the cost of a network, where counts don't tell it."""
    if not isinstance(metric.source, str) or not metric.source:
        return None
    found = _imported(metric)  # once, as this is asked for every batch of candidates
    return cast(OfGraph, found) if hasattr(found, "of_graph") else None


def cost_metrics(metrics: Sequence[Metric], counts: NodeCounts, bits: NodeBits) -> dict[str, FloatArray]:
    """Each of the costs by name, [K]. Raises UserError for what is no cost, or gives none."""
    candidates = len(bits.weight) if counts.candidates == 1 else counts.candidates
    _check_shapes(bits, candidates, counts.nodes)
    return {metric.name: _spread_out(metric, cost_of(metric)(counts, bits), candidates) for metric in metrics}


def cost_of(metric: Metric) -> Cost:
    """The function that computes a cost, imported when it is first asked for; UserError for other metrics."""
    if metric.kind == "quality":
        raise UserError(f"{metric.name} is a quality metric: it needs predictions")
    if metric.kind == "measured" or not metric.source or isinstance(metric.source, TableFile):
        raise UserError(f"{metric.name} can't be computed from the network alone; leave it out")
    return _imported(metric)


@cache
def _imported(metric: Metric) -> Cost:
    return cast(Cost, computing(metric))


def _check_shapes(bits: NodeBits, candidates: int, nodes: int) -> None:
    shape = (candidates, nodes)
    for field, found in _tables(bits).items():
        if found.shape not in (shape, (1, nodes)):
            raise ValueError(f"bits.{field} is {found.shape}; it must be [K, N] = {shape}")


def _tables(bits: NodeBits) -> Mapping[str, FloatArray]:
    return {
        field: getattr(bits, field) for field in ("data_in", "weight", "bias", "weight_bits", "bias_bits")
    }


def _spread_out(metric: Metric, found: FloatArray, candidates: int) -> FloatArray:
    """[K] of what a cost gave."""
    if np.shape(found) not in ((candidates,), (1,)):
        raise UserError(
            f"metric {metric.name}: {metric.source} gave {np.shape(found)} for {candidates} candidates; "
            f"it must give ({candidates},), or (1,) where all have the same"
        )
    return np.array(np.broadcast_to(found, candidates), dtype=np.float64)


def parameters(counts: NodeCounts, bits: NodeBits) -> FloatArray:
    """Weights, biases and other trained numbers, each once however often it is used."""
    del bits
    return counts.total("weight_elements") + counts.total("bias_elements") + counts.total("other_parameters")


def macs(counts: NodeCounts, bits: NodeBits) -> FloatArray:
    """Multiply-accumulates of one sample."""
    del bits
    return counts.total("macs")


def flops(counts: NodeCounts, bits: NodeBits) -> FloatArray:
    """Of one sample: 2 macs + all other arithmetic (see counting.py)."""
    del bits
    return 2 * counts.total("macs") + counts.total("other_flops")


def model_size(counts: NodeCounts, bits: NodeBits) -> FloatArray:
    """Bytes that the exported network must store.

    Weights and biases in their formats (scales and shared exponents included); as 32-bit floats the other
    parameters, and the buffers that inference needs (a norm's running mean and variance, not its step
    counter). Bits are packed; what a file format adds is not counted.
    """
    has_weight, has_bias = counts.by_node("weight_elements") > 0, counts.by_node("bias_elements") > 0
    total = _summed(bits.weight_bits, has_weight) + _summed(bits.bias_bits, has_bias)
    floats = counts.total("other_parameters") + counts.total("buffer_elements")
    return (total + FLOAT_BITS * floats) / 8


def average_bitwidth(counts: NodeCounts, bits: NodeBits) -> FloatArray:
    """Bits that are stored for a weight, averaged over all weights; 32 for those that have no format.

    Weights are those of layers and functions, and parameters that the network's own code reads: not biases,
    nor the scale vectors of norms. One that layers read in several formats counts once for each. The lab's
    own mean skips layers that are left unquantised: equal where every layer is quantised.
    """
    elements = counts.by_node("weight_elements") * counts.by_node("averaged")  # [K or 1, N]
    floats = counts.total("other_parameters")
    total = (elements.sum(axis=1) if bits.copies is None else _summed(bits.copies, elements)) + floats
    stored = _summed(bits.weight if bits.stored is None else bits.stored, elements) + FLOAT_BITS * floats
    return np.where(total > 0, stored / np.maximum(total, 1), float(FLOAT_BITS))


def activation_bitwidth(counts: NodeCounts, bits: NodeBits) -> FloatArray:
    """Bits of a value that is multiplied by a weight, averaged over all multiply-accumulates of one sample.

    32 for those that have no format, and where nothing is multiplied. Where two results are multiplied it is
    the first.
    """
    works = counts.by_node("macs")
    total = works.sum(axis=1)
    return np.where(total > 0, _summed(bits.data_in, works) / np.maximum(total, 1), float(FLOAT_BITS))


def memory_density(counts: NodeCounts, bits: NodeBits) -> FloatArray:
    """`compare_to` bits / average_bitwidth."""
    return bits.compare_to / average_bitwidth(counts, bits)


def bops(counts: NodeCounts, bits: NodeBits) -> FloatArray:
    """Bit operations of one sample: the sum over the nodes of MACs (b_a b_w + b_a + b_w + log2(fan-in)).

    b_a and b_w are the bits of an input and of a weight: b_a b_w for the product, the rest is the width of
    the accumulator that it is added to. Source: Baskin et al. 2021, UNIQ (ACM TOCS 37, arXiv 1804.10969),
    section 4.2, with m n k^2 (b_a b_w + b_a + b_w + log2(n k^2)) at each position of a k x k convolution from
    n to m channels; for jets in Hawks et al. 2021, Ps and Qs (Frontiers in AI 4). Arithmetic other than MACs
    has no part in it.
    """
    works, sums = counts.by_node("macs"), np.log2(np.maximum(counts.by_node("fan_in"), 1))
    per_mac = bits.data_in * bits.weight if bits.products is None else bits.products("width")
    per_mac += bits.data_in  # in place: at 10^5 candidates memory traffic is the cost
    per_mac += bits.weight
    if len(works) == 1:  # one product of a matrix, in place of a table [K, N] more
        return _summed(per_mac, works) + float(works[0] @ sums[0])
    per_candidate: FloatArray = (works * (per_mac + sums)).sum(axis=1)
    return per_candidate


def ebops(counts: NodeCounts, bits: NodeBits) -> FloatArray:
    """Effective bit operations of one sample: what constant multipliers of an FPGA have to add up.

    The sum over all multiplications of the bits of the input times the significant bits of the weight: those
    from the first to the last that is set, so a weight of zero costs nothing and a power of two one bit, and
    at most the format's. Every bias that is added counts its significant bits. Where two results are
    multiplied: the bits of both. A float counts 32 bits.
    Source: Sun et al. 2024, HGQ (arXiv 2405.00645), section III; HGQ2's `ebops` of a dense layer is equal
    where its quantisers have each weight's own significant bits. Ours differs: multiplications by a
    convolution's padding count as MACs do, and additions of results (HGQ2: 0.65 of their bits), pooling and
    tables of functions have no part.
    """
    weights = bits.weight if bits.significant is None else bits.significant("weight")
    biases = (
        bits.bias * (counts.by_node("bias_elements") > 0)
        if bits.significant is None
        else bits.significant("bias")
    )
    products = bits.data_in * weights if bits.products is None else bits.products("significant")
    return _summed(products, counts.by_node("macs")) + _summed(biases, counts.by_node("outputs"))


def accumulator_bits(counts: NodeCounts, bits: NodeBits) -> FloatArray:
    """Bits of the widest sum of products: the greatest b_a + b_w + log2(fan-in) of all nodes.

    A two's complement number of so many holds every sum. b_a and b_w are the bits of an input and of a
    weight, the logarithm is rounded up; 0 where nothing is multiplied. So wide are sums of any weights; those
    at hand, and biases of a finer step, can only be known when a network is written. Sums that float32 does
    not hold are computed in float64.
    """
    sums = np.ceil(np.log2(np.maximum(counts.by_node("fan_in"), 1)))
    of_input, of_weight = bits.data_in, bits.weight
    if bits.widest is not None:
        of_input, of_weight = bits.widest("data_in"), bits.widest("weight")
    found: FloatArray = ((of_input + of_weight + sums) * (counts.by_node("macs") > 0)).max(
        axis=1, initial=0.0
    )
    return found


def _summed(
    values: FloatArray, factors: FloatArray | np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
) -> FloatArray:
    """The sums over the nodes of values times factors, [K or 1, N] each: [K or 1]."""
    weights = factors.astype(np.float64, copy=False)
    total: FloatArray = values @ weights[0] if len(weights) == 1 else (values * weights).sum(axis=1)
    return total
