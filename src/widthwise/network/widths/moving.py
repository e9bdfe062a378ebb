"""How channels go through operations that move elements about: views, picks, concatenations."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set

import torch
from torch import Tensor

from widthwise.network.widths.call import Call, Kept, UnfollowedError, table, tensors_among
from widthwise.network.widths.facets import aligned, compressed, reshaped, varying


def _view(call: Call) -> Kept:
    x, out = call.args["self"], call.outputs[0]
    found = [reshaped(f, x.shape, out.shape) for f in call.facets(x)]
    layers = [f for f in found if call.joins.is_of_layers(f)]
    kept = []
    for facet in found:
        mixed = any(varying(facet) & varying(other) for other in layers if other is not facet)
        if mixed and not call.joins.is_of_layers(facet):  # such as positions, flattened with channels
            call.fix(facet, "they are flattened together with the channels of layers")
        else:
            kept.append(facet)
    return (tuple(kept),)


def _expand(call: Call) -> Kept:
    return (tuple(aligned(f, call.outputs[0].ndim) for f in call.facets(call.args["self"])),)


def _moved(call: Call) -> Kept:
    """Moves whole dimensions: the facets move in the same way."""
    return _on_facets(call, lambda facet, x: facet)


def _along_dim(call: Call) -> Kept:
    """Picks along one dimension."""

    def spread(facet: Tensor, x: Tensor) -> Tensor:
        dim = call.args["dim"] % x.ndim
        shape = list(facet.shape)
        shape[dim] = x.shape[dim]
        return facet.expand(shape)

    return _on_facets(call, spread)


def _anywhere(call: Call) -> Kept:
    """Moves elements about: their channels move in the same way."""
    return _on_facets(call, lambda facet, x: facet.expand(x.shape))


def _picked(call: Call) -> Kept:
    """Picks places by their numbers: what lies along those dimensions can't change."""
    dims: set[int] = set()
    for dim, index in enumerate(call.args["indices"]):
        if index is not None:
            dims |= set(range(dim, dim + (index.ndim if index.dtype == torch.bool else 1)))
    return _on_facets(call, lambda facet, x: facet.expand(x.shape), fixed=dims)


def _selected(call: Call) -> Kept:
    x = call.args["self"]
    return _on_facets(call, lambda facet, x: facet.expand(x.shape), fixed=set(call.dims(x.ndim)))


def _on_facets(
    call: Call,
    prepare: Callable[[Tensor, Tensor], Tensor],
    *,
    fixed: Set[int] = frozenset(),
) -> Kept:
    """The operation itself, on the facets; those that vary along dimensions in `fixed` can't change."""
    x = call.args["self"]
    others = {name: value for name, value in call.args.items() if name != "self"}
    if any(call.facets(known) for known in tensors_among(others.values())):
        raise UnfollowedError
    by_facet = []
    for facet in call.facets(x):
        if varying(facet) & fixed:
            call.fix(facet, "the code picks them by their numbers")
            continue
        moved = call.operation(prepare(facet, x), **others)
        by_facet.append(moved if isinstance(moved, list | tuple) else [moved])
    return tuple(
        tuple(f for f in (compressed(moved[place]) for moved in by_facet) if varying(f))
        for place in range(len(call.outputs))
    )


def _concatenated(call: Call) -> Kept:
    tensors: Sequence[Tensor] = call.args["tensors"]
    out = call.outputs[0]
    dim = call.dims(out.ndim)[0]
    parts = [x for x in tensors if x.ndim == out.ndim]
    beside = [f for x in parts for f in call.facets(x) if dim not in varying(f)]
    inside: list[Tensor] = []
    if any(dim in varying(f) for x in parts for f in call.facets(x)):
        pieces = [_piece_along(call, x, dim) for x in parts]
        shape = [max(p.shape[d] for p in pieces) for d in range(out.ndim)]
        spread = [p.expand([*shape[:dim], p.shape[dim], *shape[dim + 1 :]]) for p in pieces]
        inside = [torch.cat(spread, dim)]
    return (call.joins.merged([*inside, *beside]),)


def _piece_along(call: Call, x: Tensor, dim: int) -> Tensor:
    """The channels along a dimension of what is concatenated there."""
    found = call.joins.merged([f for f in call.facets(x) if dim in varying(f)])
    if len(found) == 1:
        return found[0]
    shape = [1] * x.ndim
    shape[dim] = x.shape[dim]
    return torch.zeros(shape, dtype=torch.int64)


def _stacked(call: Call) -> Kept:
    tensors: Sequence[Tensor] = call.args["tensors"]
    dim = call.dims(call.outputs[0].ndim)[0]
    return (call.joins.merged([f.unsqueeze(dim) for x in tensors for f in call.facets(x)]),)


def _copied(call: Call) -> Kept:
    """Writes into a tensor: what lay there and what is written join."""
    target, source = call.args["self"], call.args["src"]
    facets = [*call.facets(target), *(aligned(f, target.ndim) for f in call.facets(source))]
    return (call.joins.merged(facets),)


def _restrided(call: Call) -> Kept:
    """Another layout in memory; another shape isn't followed."""
    x = call.args["self"]
    if list(call.args["size"]) != list(x.shape) or any(f.ndim != x.ndim for f in call.facets(x)):
        raise UnfollowedError
    return (call.facets(x),)


MOVING = {
    **table(_view, "view _unsafe_view reshape _reshape_alias"),
    **table(_expand, "expand"),
    **table(_moved, "permute transpose t unsqueeze"),
    **table(_along_dim, "slice select split split_with_sizes unbind narrow unsafe_split unsafe_chunk"),
    **table(
        _anywhere,
        "squeeze flip roll repeat constant_pad_nd pixel_shuffle pixel_unshuffle unfold diagonal tril triu "
        "channel_shuffle native_channel_shuffle",
    ),
    **table(_picked, "index"),
    **table(_selected, "index_select gather"),
    **table(_concatenated, "cat"),
    **table(_stacked, "stack"),
    **table(_copied, "copy_"),
    **table(_restrided, "as_strided"),
}
