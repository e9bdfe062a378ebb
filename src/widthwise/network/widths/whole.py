"""Layers that are followed as a whole, by what goes in and comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from widthwise.network.widths.facets import Facets, Joins, along
from widthwise.network.widths.kinds import RECURRENT


@dataclass(frozen=True, eq=False)
class LayerSides:
    """A layer's channels, numbered: of its inputs, and of its outputs (also what a norm has)."""

    inputs: Tensor | None
    outputs: Tensor | None


FacetsOf = Callable[[Any], Facets]
Found = list[tuple[Tensor, Facets]]  # what comes out, with the channels that lie in it
Whole = Callable[[FacetsOf, Joins, LayerSides, Any, Sequence[Any], Any], Found]


def _norm(
    facets_of: FacetsOf, joins: Joins, layer: LayerSides, module: Any, args: Sequence[Any], output: Any
) -> Found:
    """A norm, which may have no tensors that say where its channels lie."""
    assert layer.outputs is not None
    x = next(value for value in args if isinstance(value, Tensor))
    last = isinstance(module, nn.LayerNorm | nn.RMSNorm)
    own = along(layer.outputs, x.ndim - 1 if last else 1, x.ndim)
    if len(layer.outputs) == 1:
        return [(output, facets_of(x))]
    return [(output, joins.merged([*facets_of(x), own]))]


def _attention(
    facets_of: FacetsOf, joins: Joins, layer: LayerSides, module: Any, args: Sequence[Any], output: Any
) -> Found:
    """Inputs and outputs have the channels of one side."""
    assert layer.outputs is not None
    for x in [value for value in args if isinstance(value, Tensor)][:3]:
        if x.is_floating_point() and x.shape[-1] == len(layer.outputs):
            joins.merged([*facets_of(x), along(layer.outputs, x.ndim - 1, x.ndim)])
    return [(output[0], (along(layer.outputs, output[0].ndim - 1, output[0].ndim),))]


def _recurrent(
    facets_of: FacetsOf, joins: Joins, layer: LayerSides, module: Any, args: Sequence[Any], output: Any
) -> Found:
    """What it reads are its inputs; states and outputs are its hidden units, once for each direction."""
    assert layer.inputs is not None
    assert layer.outputs is not None
    given, *states = [x for x in tree_leaves(list(args)) if isinstance(x, Tensor) and x.is_floating_point()]
    joins.merged([*facets_of(given), along(layer.inputs, given.ndim - 1, given.ndim)])
    for state in states:
        own = along(layer.outputs, state.ndim - 1, state.ndim)
        joins.merged([*facets_of(state), own])
    found: Found = []
    for tensor in tree_leaves(output):
        if isinstance(tensor, Tensor) and tensor.is_floating_point():
            times = tensor.shape[-1] // len(layer.outputs)
            found.append((tensor, (along(layer.outputs.repeat(times), tensor.ndim - 1, tensor.ndim),)))
    return found


WHOLE: dict[type[nn.Module], Whole] = {
    nn.MultiheadAttention: _attention,
    **dict.fromkeys(RECURRENT, _recurrent),
    **dict.fromkeys(
        (
            *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.RMSNorm, nn.GroupNorm),
            *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
        ),
        _norm,
    ),
}
