"""Arguments of a call, with places for the values of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import fx
from torch.fx.node import map_aggregate


@dataclass(frozen=True)
class Read:
    """Stands in arguments for the value of the i-th input."""

    index: int


def with_places(arguments: Any, reads: Sequence[fx.Node]) -> Any:
    """The arguments of a node with `Read(i)` in place of the i-th of the nodes that it reads."""
    position: dict[fx.Node, Any] = {read: Read(index) for index, read in enumerate(reads)}
    return map_aggregate(
        arguments, lambda leaf: position.get(leaf, leaf) if isinstance(leaf, fx.Node) else leaf
    )


def reads_in(arguments: Any) -> list[Read]:
    """Every `Read` in the arguments, those inside slices included."""
    found: list[Read] = []
    map_aggregate(arguments, lambda leaf: found.append(leaf) if isinstance(leaf, Read) else None)
    return found


def filled(arguments: Any, values: Sequence[Any]) -> Any:
    """The arguments with values in place of every `Read`."""
    return map_aggregate(arguments, lambda leaf: values[leaf.index] if isinstance(leaf, Read) else leaf)
