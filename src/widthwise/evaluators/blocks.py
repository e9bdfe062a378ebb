"""Blocks of data: the validation set in pieces of a size that suits the engine, whatever its loader gives."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from widthwise.core.errors import UserError
from widthwise.data.facts import LABELS
from widthwise.network.graph import Graph


@dataclass(frozen=True, eq=False)
class DataBlock:
    """Some samples: the network's inputs [n, ...] and targets [n, ...]."""

    inputs: tuple[Tensor, ...]
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def part(self, start: int, stop: int) -> DataBlock:
        """The samples from `start` up to `stop`."""
        return DataBlock(tuple(x[start:stop] for x in self.inputs), self.targets[start:stop])

    def chosen(self, rows: Tensor) -> DataBlock:
        """The samples with these numbers [m]."""
        rows = rows.to(self.targets.device)
        return DataBlock(tuple(x[rows] for x in self.inputs), self.targets[rows])

    @property
    def nbytes(self) -> int:
        """Memory of inputs and targets."""
        return sum(x.nbytes for x in (*self.inputs, self.targets))


def read_blocks(
    loader: Iterable[Any],
    *,
    samples: int,
    device: str = "cpu",
    most: int | None = None,
    names: Sequence[str] = (),
) -> Iterator[DataBlock]:
    """The loader's samples in blocks of `samples`, the last may be smaller; at most `most` of them.

    `names` are those of the network's inputs, which batches that have names are ordered by.
    """
    held: list[DataBlock] = []
    for block in _limited((_as_block(batch, device, names) for batch in loader), most):
        held.append(block)
        while sum(map(len, held)) >= samples:
            whole = joined(held)
            yield whole.part(0, samples)
            held = [whole.part(samples, len(whole))] if len(whole) > samples else []
    if held:
        yield joined(held)


def input_names(graph: Graph) -> tuple[str, ...]:
    """The names of a network's inputs, in order."""
    if graph.capture == "fx":
        return tuple(str(node.target) for node in graph.fx_graph.nodes if node.op == "placeholder")
    return tuple(inspect.signature(graph.model.forward).parameters)


def first_block(
    loader: Iterable[Any], *, samples: int, device: str = "cpu", names: Sequence[str] = ()
) -> DataBlock:
    """The first samples of a loader; raises UserError where it has none."""
    for block in islice(read_blocks(loader, samples=samples, device=device, names=names), 1):
        return block
    raise UserError("the data has no samples to judge networks on; give the split a share")


def _limited(blocks: Iterable[DataBlock], most: int | None) -> Iterator[DataBlock]:
    left = most
    for block in blocks:
        if left is not None and left <= len(block):
            if left:
                yield block.part(0, left)
            return
        if left is not None:
            left -= len(block)
        yield block


def _as_block(batch: Any, device: str, names: Sequence[str]) -> DataBlock:
    inputs: list[Any]
    if isinstance(batch, Mapping):  # as Hugging Face's collators give it
        inputs = _in_order({key: value for key, value in batch.items() if key not in LABELS}, names)
        labels = next((batch[key] for key in LABELS if key in batch), None)
    else:
        *inputs, labels = batch
        if len(inputs) == 1 and isinstance(inputs[0], tuple | list):
            inputs = list(inputs[0])
    if not isinstance(labels, Tensor) or not all(isinstance(x, Tensor) for x in inputs) or not inputs:
        raise UserError("the data's batches are no tensors (x, y); give loaders of batches x [n, ...], y [n]")
    whole = not (labels.is_floating_point() or labels.is_complex())
    targets = labels.to(device, torch.int64 if whole else labels.dtype)
    return DataBlock(tuple(x.to(device) for x in inputs), targets)


def _in_order(given: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    """Inputs in the order of the network's; as they come where their names are others."""
    if not set(given) <= set(names):
        return list(given.values())
    taken = [name for name in names if name in given]
    for name, expected in zip(taken, names, strict=False):
        if name != expected:
            raise UserError(f"the data's batches hold {name}, but not {expected}, which comes before it")
    return [given[name] for name in taken]


def joined(blocks: Sequence[DataBlock]) -> DataBlock:
    """One block of all samples, in order."""
    if len(blocks) == 1:
        return blocks[0]
    inputs = zip(*(block.inputs for block in blocks), strict=True)
    return DataBlock(
        tuple(torch.cat(parts) for parts in inputs), torch.cat([block.targets for block in blocks])
    )
