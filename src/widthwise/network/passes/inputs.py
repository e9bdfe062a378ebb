"""Inputs for a network from whatever a user has: a tensor, named tensors, a loader, a data module."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from torch import Tensor

from widthwise.core.errors import UserError
from widthwise.data import facts
from widthwise.data.batches import read_inputs, without_targets
from widthwise.network.calling import as_example, takes_of
from widthwise.network.capture import Example
from widthwise.network.graph import Graph


def some_inputs(
    graph: Graph, data: Any, *, samples: int, part: str = "train", where: str = ""
) -> Iterator[Example]:
    """The network's inputs for up to so many samples, batch by batch: tensors [n, …], or names to them.

    `data` is the inputs themselves (a tensor, a tuple of them, or names to them), a loader of batches x,
    (x, y) or names to tensors, or a data module, of which `part` is read. Raises UserError for anything else,
    and where there are no samples.
    """
    if hasattr(data, f"{part}_dataloader"):
        data = facts.part(data, part)
    if isinstance(data, Tensor | tuple):
        batches: Iterator[Any] = iter([data])
    elif isinstance(data, Mapping):
        batches = iter([without_targets(data)])
    elif isinstance(data, Iterable):
        batches = (without_targets(batch) for batch in data)
    else:
        raise UserError(
            f"{where}: its data is a {type(data).__name__}; give a tensor, a loader or a data module"
        )
    first = next(batches, None)
    if first is None:
        raise UserError(f"{where}: its data has no batches; give a loader that has some")
    takes, left = takes_of(graph.network), samples
    for batch in chain([first], batches):
        inputs = read_inputs(batch, takes, where=f"{where}: its data")
        held = max((len(x) for x in inputs.values() if x.ndim), default=1)
        yield as_example(takes, _first(inputs, left, held))
        left -= held
        if left <= 0:
            return


def _first(inputs: Mapping[str, Tensor], samples: int, held: int) -> dict[str, Tensor]:
    """The inputs of the first samples, of those that have a row for each."""
    rows = {name: x.ndim > 0 and len(x) == held for name, x in inputs.items()}
    return {name: x[:samples] if rows[name] else x for name, x in inputs.items()}
