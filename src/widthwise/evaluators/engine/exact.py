"""Which layers have to be computed in float64, as some of their formats make sums that float32 can't hold."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from widthwise.formats.base import Format
from widthwise.formats.integer import Integer
from widthwise.network.exactness import SUMS, exceeds_float, may_exceed_float
from widthwise.network.layer import Layer
from widthwise.network.quantized import StoredTensors
from widthwise.network.scheme import Scheme, TensorName

Formats = Mapping[TensorName, tuple[Format | None, ...]]


def some_exceed_float(layer: Layer, formats: Formats) -> bool:
    """Whether sums of a layer are beyond float32 in some of the formats of its slots."""
    if layer.type not in SUMS or not (weights := layer.stored.get("weight")):
        return False
    weight, biases = weights[0].value, layer.stored.get("bias", ())
    quantised = StoredTensors()
    for chosen in product(*formats.values()):
        scheme = Scheme(**dict(zip(formats, chosen, strict=True)))
        if scheme.weight is None or not may_exceed_float(scheme, weight):
            continue
        bias = biases[0].value if biases else None
        if bias is not None and scheme.bias is not None:
            bias = quantised.quantised("bias", bias, scheme.bias)
        values = quantised.quantised("weight", weight, scheme.weight)
        if exceeds_float(layer.module or layer.type, scheme, values, bias):
            return True
    return False


def all_can_be_exact(layer: Layer, formats: Formats) -> bool:
    """Whether float64 gives a layer's outputs in all of its formats: what float32 holds comes out the same.

    Not where some are floats, which have to be rounded as the network rounds them.
    """
    if layer.module is None or formats.keys() != set(layer.tensors):
        return False
    return all(isinstance(fmt, Integer) for choices in formats.values() for fmt in choices)
