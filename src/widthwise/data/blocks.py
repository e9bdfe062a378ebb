"""Blocks of samples: a network's inputs by name and their targets, cut from batches or joined of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from widthwise.core.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class DataBlock:
    """Some samples: inputs [n, ...] by the names of the network's forward, in its order; targets [n, ...].

    Where `has_rows` is false an input has its samples along another axis, or none: such a block is not cut.
    """

    inputs: Mapping[str, Tensor]
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def has_rows(self) -> bool:
        """Whether each input has a row for each sample."""
        return all(x.ndim > 0 and len(x) == len(self) for x in self.inputs.values())

    @property
    def nbytes(self) -> int:
        """Memory of inputs and targets."""
        return sum(x.nbytes for x in (*self.inputs.values(), self.targets))

    def part(self, start: int, stop: int) -> DataBlock:
        """The samples from `start` up to `stop`."""
        return DataBlock({name: x[start:stop] for name, x in self.inputs.items()}, self.targets[start:stop])

    def chosen(self, rows: Tensor) -> DataBlock:
        """The samples with these numbers [m]."""
        rows = rows.to(self.targets.device)
        return DataBlock({name: x[rows] for name, x in self.inputs.items()}, self.targets[rows])

    def to(self, device: str | torch.device, dtype: torch.dtype | None = None) -> DataBlock:
        """The same on a device, its float inputs in this type where one is given."""
        inputs = {
            name: x.to(device, dtype if x.is_floating_point() else None) for name, x in self.inputs.items()
        }
        return DataBlock(inputs, self.targets.to(device))

    def joins(self, other: DataBlock) -> bool:
        """Whether the two can be one block: the same inputs, of the same shapes for a sample."""
        return [(name, x.shape[1:], x.dtype) for name, x in self.inputs.items()] == [
            (name, x.shape[1:], x.dtype) for name, x in other.inputs.items()
        ] and self.targets.shape[1:] == other.targets.shape[1:]


def joined(blocks: Sequence[DataBlock]) -> DataBlock:
    """One block of all samples, in order."""
    import torch

    if len(blocks) == 1:
        return blocks[0]
    inputs = {name: torch.cat([block.inputs[name] for block in blocks]) for name in blocks[0].inputs}
    return DataBlock(inputs, torch.cat([block.targets for block in blocks]))


def in_blocks(
    batches: Iterable[DataBlock], *, samples: int, most: int | None = None, whole: bool = False
) -> Iterator[DataBlock]:
    """The samples of batches in blocks of `samples`, fewer at the end and where shapes change; `most` in all.

    Batches that are padded to other lengths are never joined. whole: each batch is a block as it is, and
    `most` counts the samples of whole batches.
    """
    if whole:
        yield from _whole(batches, most)
        return
    held: list[DataBlock] = []
    for block in _limited(batches, most):
        if held and not held[-1].joins(block):
            yield joined(held)
            held = []
        held.append(block)
        while sum(map(len, held)) >= samples:
            together = joined(held)
            yield together.part(0, samples)
            held = [together.part(samples, len(together))] if len(together) > samples else []
    if held:
        yield joined(held)


def spread_over(blocks: Iterable[DataBlock], total: int, most: int, *, size: int) -> list[DataBlock]:
    """Up to `most` of the `total` samples of blocks, from all over them, in blocks of `size`."""
    import torch

    wanted = torch.linspace(0, total - 1, min(most, total)).long()
    found, start = [], 0
    for block in blocks:
        here = wanted[(wanted >= start) & (wanted < start + len(block))] - start
        start += len(block)
        if len(here):
            found.append(block.chosen(here))
    return list(in_blocks(found, samples=size))


def every_few(blocks: Sequence[DataBlock], most: int) -> list[DataBlock]:
    """Whole blocks from all over, with up to `most` samples together but at least one block."""
    step = max(1, -(-sum(map(len, blocks)) // most))
    return list(_whole(blocks[::step], most, least=1))


def first_of(blocks: Iterable[DataBlock], where: str = "the data") -> tuple[DataBlock, Iterator[DataBlock]]:
    """The first block, and all of them; raises UserError where there is none."""
    rest = iter(blocks)
    for block in rest:
        return block, chain([block], rest)
    raise UserError(f"{where}: has no samples to judge networks on; give the split a share")


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


def _whole(blocks: Iterable[DataBlock], most: int | None, *, least: int = 0) -> Iterator[DataBlock]:
    """Blocks as they are, while they have `most` samples in all; raises UserError if not even one has."""
    seen = 0
    for number, block in enumerate(blocks):
        seen += len(block)
        if most is not None and seen > most and number >= least:
            if not number:
                raise UserError(
                    f"samples = {most} is less than a batch of {len(block)}, and the network is judged in "
                    "whole batches; give more samples, or smaller batches"
                )
            return
        yield block
