"""What each place of a tensor belongs to: numbers of channels that lie along its dimensions.

A facet of a tensor is an integer tensor of as many dimensions that broadcasts to its shape: at each place
the number of the channel that lies there, 0 for none. A feature map has one facet that varies along its
channels [1, C, 1, 1], a weight has two, queries that are split into heads one that varies along both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from widthwise.core.arrays import IntArray
from widthwise.core.errors import UserError

NOBODY = 0
MOST_JOINS = 50_000_000  # some seconds, and less than a gigabyte

Facets = tuple[Tensor, ...]


@dataclass
class Joins:
    """Channels are numbered from 1, and pairs of those that change together are gathered.

    layers: below this are those of layers, from it on those of parameters that belong to none.
    """

    layers: int = 1
    count: int = 1  # with NOBODY
    joined: int = 0
    pairs: list[IntArray] = field(default_factory=list)  # [2, pairs] each

    def number(self, count: int) -> Tensor:
        """New channels, [count]."""
        self.count += count
        return torch.arange(self.count - count, self.count)

    def is_of_layers(self, facet: Tensor) -> bool:
        """Whether a layer's channels lie in a facet."""
        return bool(((facet != NOBODY) & (facet < self.layers)).any())

    def join(self, first: Tensor, second: Tensor) -> None:
        """Channels at the same places of two facets change together; raises UserError beyond the bound."""
        both = torch.stack([side.flatten() for side in _broadcast(first, second)]).numpy()
        needed = (both[0] != both[1]) & (both != NOBODY).all(axis=0)
        both = np.unique(both[:, needed], axis=1)
        self.pairs.append(both)
        self.joined += both.shape[1]
        if self.joined > MOST_JOINS:
            raise UserError(
                f"its channels are joined in more than {MOST_JOINS:,} places, too many to follow; its widths "
                "can't be changed or searched, but formats can be"
            )

    def classes(self) -> IntArray:
        """The class of each channel, [count]: those that change together have the same."""
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        pairs = np.concatenate(self.pairs, axis=1) if self.pairs else np.empty((2, 0), dtype=np.int64)
        shape = (self.count, self.count)
        edges = coo_matrix((np.ones(pairs.shape[1], dtype=bool), (pairs[0], pairs[1])), shape=shape)
        found: IntArray = connected_components(edges, directed=False)[1]
        return found

    def merged(self, facets: Iterable[Tensor]) -> Facets:
        """Facets of tensors that are combined by place: those that vary along the same dimension join."""
        kept: list[Tensor] = []
        for facet in facets:
            found = facet
            for other in [known for known in kept if varying(known) & varying(found)]:
                self.join(other, found)
                kept = [known for known in kept if known is not other]
                left, right = _broadcast(other, found)
                found = torch.where(left == NOBODY, right, left)
            kept.append(found)
        return tuple(kept)

    def reduced(self, facets: Iterable[Tensor], dims: Sequence[int]) -> Facets:
        """Facets after a sum over dimensions, which stay with size 1.

        Where channels lie along others too, as queries along heads and their widths, what is left stands for
        all that were summed: they go together.
        """
        found = []
        for facet in facets:
            along = varying(facet)
            if along <= set(dims):
                continue
            if along & set(dims):
                left = facet.amax(dim=tuple(dims), keepdim=True)
                self.join(facet, left)
                found.append(left)
            else:
                found.append(facet)
        return tuple(found)


def _broadcast(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    shape = np.broadcast_shapes(first.shape, second.shape)
    return first.expand(shape), second.expand(shape)


def varying(facet: Tensor) -> set[int]:
    """The dimensions along which the channels differ."""
    return {dim for dim, size in enumerate(facet.shape) if size > 1}


def along(channels: Tensor, dim: int, ndim: int) -> Tensor:
    """A facet of channels [n] that lie along a dimension."""
    shape = [1] * ndim
    shape[dim] = len(channels)
    return channels.reshape(shape)


def aligned(facet: Tensor, ndim: int) -> Tensor:
    """The facet of a tensor that is broadcast to more dimensions."""
    return facet.reshape((1,) * (ndim - facet.ndim) + tuple(facet.shape))


def compressed(facet: Tensor) -> Tensor:
    """The facet with size 1 where it does not vary."""
    for dim in varying(facet):
        first = facet.narrow(dim, 0, 1)
        if bool((facet == first).all()):
            facet = first
    return facet


def reshaped(facet: Tensor, old: Sequence[int], new: Sequence[int]) -> Tensor:
    """The facet of a tensor of shape `old` that is read in another shape."""
    same = 0
    while same < min(len(old), len(new)) and old[len(old) - 1 - same] == new[len(new) - 1 - same]:
        same += 1
    if same and varying(facet) <= set(range(len(old) - same, len(old))):
        kept = tuple(facet.shape[len(old) - same :])
        return facet.reshape((1,) * (len(new) - same) + kept)
    return compressed(facet.expand(tuple(old)).reshape(tuple(new)))
