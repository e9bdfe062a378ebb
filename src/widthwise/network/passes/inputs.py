"""Inputs for a network from whatever a user has: a tensor, named tensors, a loader, a data module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from widthwise.core.errors import UserError
from widthwise.data import facts
from widthwise.data.facts import LABELS
from widthwise.network.passes.watch import Example


def some_inputs(data: Any, *, samples: int, part: str = "train", where: str = "") -> Example:
    """The network's inputs for up to so many samples: a tuple of tensors [samples, …], or names to them.

    `data` is the inputs themselves (a tensor, a tuple of them, or names to them), a loader of batches x,
    (x, y) or names to tensors, or a data module, of which `part` is read. Raises UserError for anything else,
    and where there are no samples.
    """
    if hasattr(data, f"{part}_dataloader"):
        data = facts.part(data, part)
    if isinstance(data, Tensor | Mapping):
        return _first(_without_labels(data), samples)
    if isinstance(data, tuple):
        return _first({str(position): value for position, value in enumerate(data)}, samples)
    if not isinstance(data, Iterable):
        raise UserError(
            f"{where}: its data is a {type(data).__name__}; give a tensor, a loader or a data module"
        )
    batches: list[dict[str, Any]] = []
    held = 0
    for batch in data:
        named = _without_labels(batch)
        sizes = [len(x) for x in named.values() if isinstance(x, Tensor) and x.ndim]
        if not sizes:
            raise UserError(f"{where}: its data's batches are no tensors; give batches x [n, ...] or (x, y)")
        batches.append(named)
        held += sizes[0]
        if held >= samples:
            break
    if not batches:
        raise UserError(f"{where}: its data has no batches; give a loader that has some")
    joined = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
    return _first(joined, samples)


def _without_labels(batch: Any) -> dict[str, Any]:
    """A batch's inputs by name, or by position where they have none."""
    if isinstance(batch, Mapping):
        return {str(name): value for name, value in batch.items() if name not in LABELS}
    if isinstance(batch, Tensor):
        return {"0": batch}
    if not isinstance(batch, tuple | list) or not batch:
        return {}
    inputs = list(batch[:-1]) if len(batch) > 1 else list(batch)
    if len(inputs) == 1 and isinstance(inputs[0], tuple | list):
        inputs = list(inputs[0])
    return {str(position): value for position, value in enumerate(inputs)}


def _first(named: Mapping[str, Any], samples: int) -> Example:
    cut = {name: x[:samples] if isinstance(x, Tensor) and x.ndim else x for name, x in named.items()}
    return tuple(cut.values()) if all(name.isdigit() for name in cut) else cut
