"""Which layers have to be computed in float64, as some of their formats make sums that float32 can't hold."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from widthwise.formats.base import Format
from widthwise.formats.corrected import uncorrected
from widthwise.formats.integer import Integer
from widthwise.network.exactness import (
    RowSums,
    accumulator_bits,
    beyond_float,
    is_sum,
    may_exceed_float,
    row_sums,
)
from widthwise.network.layer import Layer
from widthwise.network.scheme import Scheme, TensorName

Formats = Mapping[TensorName, tuple[Format | None, ...]]


def some_exceed_float(layer: Layer, formats: Formats) -> bool:
    """Whether sums of a layer are beyond float32 in some of the formats of its slots."""
    if not is_sum(layer.module or layer.type) or not (weights := layer.stored.get("weight")):
        return False
    weight, bias = weights[0].value, next((stored.value for stored in layer.stored.get("bias", ())), None)
    sums: dict[Format, RowSums | None] = {}
    for chosen in product(*formats.values()):
        scheme = Scheme(**dict(zip(formats, chosen, strict=True)))
        if scheme.weight is None or not may_exceed_float(scheme, weight):
            continue
        if scheme.weight not in sums:
            sums[scheme.weight] = row_sums(scheme.weight, scheme.weight.quantize(weight))
        biases = bias if bias is None or scheme.bias is None else scheme.bias.quantize(bias)
        if beyond_float(accumulator_bits(scheme, sums[scheme.weight], biases)):
            return True
    return False


def all_can_be_exact(layer: Layer, formats: Formats) -> bool:
    """Whether float64 gives a layer's outputs in all of its formats: what float32 holds comes out the same.

    Not where some are floats, which have to be rounded as the network rounds them.
    """
    if layer.module is None or formats.keys() != set(layer.tensors):
        return False
    return all(isinstance(uncorrected(fmt), Integer) for choices in formats.values() for fmt in choices)
