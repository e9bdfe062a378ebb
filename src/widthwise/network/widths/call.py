"""An operation that was called while channels are followed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from widthwise.network.widths.facets import Facets, Joins

Kept = tuple[Facets, ...]  # of each tensor that an operation gives


class UnfollowedError(Exception):
    """An operation of which it isn't known what it makes of channels."""


@dataclass(frozen=True)
class Call:
    """An operation that was called: its arguments by the names of its schema, and what it gave."""

    name: str
    operation: Any
    args: Mapping[str, Any]
    outputs: tuple[Tensor, ...]
    facets: Callable[[Any], Facets]
    sides: Callable[[Any], tuple[Tensor | None, Tensor | None]]  # of a layer's weight: inputs, outputs
    joins: Joins
    fix: Callable[[Tensor, str], None]  # the channels of a facet can't change, and why
    average: Callable[[Tensor], None]  # the channels of a facet are averaged over
    read: Callable[[Any, Tensor], None]  # a tensor is summed over along these channels, times what it reads

    def dims(self, ndim: int, name: str = "dim") -> list[int]:
        """The dimensions that an argument names; all where it names none."""
        given = self.args.get(name)
        if given is None or given == []:
            return list(range(ndim))
        return [dim % ndim for dim in (given if isinstance(given, list | tuple) else [given])]


def tensors_among(values: Iterable[Any]) -> list[Tensor]:
    """The tensors among arguments, and in lists there."""
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += [x for x in value if isinstance(x, Tensor)]
    return found


def table(rule: Callable[[Call], Kept], names: str) -> dict[str, Callable[[Call], Kept]]:
    """One rule for operations of these names."""
    return dict.fromkeys(names.split(), rule)
