"""Whether a network computes with fixed point alone: then its sums are the same in every order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from widthwise.formats import Binary, Format
from widthwise.formats.hull import is_fixed_point as fixed_point
from widthwise.network.operations import FREE, WEIGHTED_SUMS

if TYPE_CHECKING:
    from widthwise.network.graph import Graph
    from widthwise.network.layer import Layer
    from widthwise.network.scheme import Scheme

CHOOSING = {  # what gives its inputs back, or their sums and differences
    *("relu", "relu6", "hardtanh", "clamp", "abs", "neg", "add", "sub"),
    *(f"{kind}{n}d" for kind in ("max_pool", "adaptive_max_pool") for n in (1, 2, 3)),
}


def is_fixed_point(graph: Graph) -> bool:
    """Whether every number that is multiplied or summed lies on a binary grid.

    Sums are then exact while they fit the 24 bits of a float's significand, and any runtime gives the same
    bits; else another order of the same sums rounds otherwise, in the last bits of a float.
    """
    schemes = graph.schemes
    return all(_is_exact(layer, schemes[layer.name]) for layer in graph.layers)


def _is_exact(layer: Layer, scheme: Scheme) -> bool:
    if layer.type in FREE or layer.type in CHOOSING:
        return True
    if layer.type not in WEIGHTED_SUMS:
        return False
    return all(_on_a_grid(scheme[tensor]) for tensor in ("data_in", *layer.stored))


def _on_a_grid(fmt: Format | None) -> bool:
    if isinstance(fmt, Binary):
        scales = fmt.scale if isinstance(fmt.scale, tuple) else (fmt.scale or 1.0,)
        return not fmt.scaling_factor and all(math.frexp(scale)[0] == 0.5 for scale in scales)
    return fixed_point(fmt)
