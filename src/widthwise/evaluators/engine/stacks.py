"""Stacks: the versions of a value along a new first axis, [versions, samples, ...]; values may be nested."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

from widthwise.core.arrays import IntArray


@dataclass(frozen=True)
class PerVersion:
    """What is no tensor and yet differs from version to version: a number read out of one."""

    values: tuple[Any, ...]


def as_range(indices: IntArray) -> slice | None:
    """The slice that picks exactly these indices, or None where they are no ascending progression."""
    if len(indices) == 1:
        return slice(int(indices[0]), int(indices[0]) + 1)
    step = int(indices[1] - indices[0])
    if step < 1 or (len(indices) > 2 and (np.diff(indices) != step).any()):
        return None
    return slice(int(indices[0]), int(indices[-1]) + 1, step)


def select(stack: Tensor, versions: IntArray) -> Tensor:
    """These versions of a stack; a view where they are evenly spaced."""
    total = stack.shape[0]  # len() of a tensor takes a microsecond
    if len(versions) == total and versions[0] == 0 and versions[-1] == total - 1:
        return stack  # versions ascend, so these are all of them
    return _picked(stack, versions)


def _picked(stack: Tensor, versions: IntArray) -> Tensor:
    found = as_range(versions)
    if found is not None:
        return stack[found]
    return stack.index_select(0, torch.from_numpy(versions).to(stack.device))


def gather(stack: Tensor, versions: IntArray) -> Tensor:
    """The versions of a stack in any order and number; a single one is broadcast."""
    if stack.shape[0] == 1:
        return stack if len(versions) == 1 else stack.expand(len(versions), *stack.shape[1:])
    return _picked(stack, versions)


def put(stack: Tensor | None, versions: IntArray, part: Tensor, total: int) -> Tensor:
    """The stack of `total` versions with `part` at these; None: one is made, like the part."""
    if len(versions) == total:
        return part
    if stack is None:
        stack = torch.empty_strided(
            (total, *part.shape[1:]), _dense_strides(part), dtype=part.dtype, device=part.device
        )
    found = as_range(versions)
    stack[torch.from_numpy(versions).to(part.device) if found is None else found] = part
    return stack


def _dense_strides(part: Tensor) -> tuple[int, ...]:
    """Strides of a dense tensor whose axes lie in memory in the order of the part's, versions outermost."""
    order = sorted(range(1, part.ndim), key=lambda axis: (part.stride(axis), part.shape[axis]))
    strides = [0] * part.ndim
    size = 1
    for axis in order:
        strides[axis] = size
        size *= part.shape[axis]
    strides[0] = size
    return tuple(strides)


def version(value: Any, index: int) -> Any:
    """One version of a value, [samples, ...]; what is no tensor is the same in all, but for `PerVersion`."""

    def picked(leaf: Tensor | PerVersion) -> Any:
        if isinstance(leaf, PerVersion):
            return leaf.values[index]
        return leaf[index if len(leaf) > 1 else 0]

    return tree_map_only((Tensor, PerVersion), picked, value)


def stacked(versions: Sequence[Any]) -> Any:
    """The value whose versions these are, in order."""
    if len(versions) == 1:
        return tree_map_only(Tensor, lambda x: x.unsqueeze(0), versions[0])
    spec = tree_flatten(versions[0])[1]
    columns = zip(*(tree_flatten(value)[0] for value in versions), strict=True)
    return tree_unflatten([_merged(column) for column in columns], spec)


def _merged(column: Sequence[Any]) -> Any:
    """One leaf of a value from its versions."""
    first = column[0]
    if isinstance(first, Tensor):
        return torch.stack(tuple(column))
    return PerVersion(tuple(column)) if any(other != first for other in column) else first


def folded(call: Callable[[Tensor], Tensor], stack: Tensor) -> Tensor:
    """The call on all versions at once, as samples of one batch: for what acts on each sample alone."""
    result = call(stack.reshape(-1, *stack.shape[2:]))
    return result.reshape(len(stack), -1, *result.shape[1:])


def leaf_bytes(value: Any) -> int:
    """Memory of a value's tensors."""
    if isinstance(value, Tensor):
        return value.nbytes
    return sum(leaf.nbytes for leaf in tree_flatten(value)[0] if isinstance(leaf, Tensor))
