"""Layers whose formats leave a training little to go by, said by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from widthwise.network.scheme import TENSORS
from widthwise.network.stored import Stored

if TYPE_CHECKING:
    from widthwise.formats.base import Format
    from widthwise.network.graph import Graph


def unlearnable(graph: Graph) -> tuple[str, ...]:
    """A line for each layer with a weight or bias that its format changes by more than the tensor itself is.

    What is rounded further than it is long, as of binary without a scale, or to zeros alone, changes with the
    weight in nothing but jumps: the straight-through gradient then says little of it.
    """
    schemes = graph.schemes
    found = [
        f"{layer.name}: {tensor} in {fmt!r} has no useful gradient, as rounding changes it by more than "
        "itself; a scaled or wider format has one"
        for layer in graph.layers
        for tensor in TENSORS[1:]
        if (fmt := schemes[layer.name][tensor]) is not None
        and any(_far(fmt, stored) for stored in layer.stored.get(tensor, ()))
    ]
    return tuple(dict.fromkeys(found))


def idle(graph: Graph, names: Sequence[str]) -> tuple[str, ...]:
    """A line for each layer whose weight is among these parameters, to which no gradient came."""
    parameters = dict(graph.model.named_parameters())
    lost = {id(parameters[name]) for name in names if name in parameters}
    schemes = graph.schemes
    return tuple(
        f"{layer.name}: no gradient comes to its weight ({schemes[layer.name]}), so it stays as it is"
        for layer in graph.layers
        if any(id(stored.root) in lost for stored in layer.stored.get("weight", ()))
    )


def _far(fmt: Format, stored: Stored) -> bool:
    value = stored.value.detach().float()
    with torch.no_grad():
        error = float(torch.linalg.vector_norm(fmt.quantize(value) - value))
    size = float(torch.linalg.vector_norm(value))
    return size > 0 and error >= size
