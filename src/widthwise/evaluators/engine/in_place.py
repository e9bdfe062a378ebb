"""In-place calls: which values change along with the one that a call is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, fx

from widthwise.network.passes.watch import tensors_in


class CannotShareError(Exception):
    """Why candidates can't share the values of a network: the reason in words."""


def changed_along(node: fx.Node, target: Tensor, values: Mapping[fx.Node, Any]) -> list[fx.Node]:
    """The nodes whose value is the very tensor that `node` changes, as far as others still read it later.

    `values` are those of the nodes before `node`. Raises CannotShareError where one is only a view of the
    same memory, or holds one: what it would be after the call can't be told from the call's result.
    """
    found = []
    for other, value in values.items():
        if not any(user is not node and user not in values for user in other.users):
            continue
        if isinstance(value, Tensor) and _same(value, target):
            found.append(other)
        elif any(_overlap(leaf, target) for leaf in tensors_in(value)):
            raise CannotShareError(f"{node.name} changes in place what {other.name} is a view of")
    return found


def versions_of(values: Sequence[Any]) -> list[int]:
    """Counters of the values' tensors that tell whether one was changed in place."""
    return [0 if x.is_inference() else x._version for x in tensors_in(values)]


def _same(one: Tensor, other: Tensor) -> bool:
    return (
        _overlap(one, other)
        and one.data_ptr() == other.data_ptr()
        and one.shape == other.shape
        and one.stride() == other.stride()
        and one.dtype == other.dtype
    )


def _overlap(one: Tensor, other: Tensor) -> bool:
    """Whether both lie in the same memory."""
    return one.numel() > 0 and one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
