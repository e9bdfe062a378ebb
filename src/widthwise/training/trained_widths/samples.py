"""The samples that widths are trained on: the training part's own, and more that are made of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from widthwise.core.errors import UserError
from widthwise.data.blocks import DataBlock, joined
from widthwise.network.reading import Reader

MOST_BYTES = 2**29
BLOCK = 1024

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs [n, ...] and targets [n, ...] of the training part, the same whatever order they came in.

    deviation: of each feature over the samples, [...].
    """

    inputs: Tensor
    targets: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, reader: Reader, loader: Iterable[Any]) -> Samples:
        """All samples of a loader that fit into memory; UserError where they can't be taken one by one."""
        if reader.whole_because:
            raise UserError(
                f"{reader.where}: widths are trained on single samples, and these stay in batches: "
                f"{reader.whole_because}"
            )
        blocks: list[DataBlock] = []
        size = 0
        for block in reader.blocks(loader, samples=BLOCK):
            if len(block.inputs) != 1:
                raise UserError(f"{reader.where}: widths of networks with one input are trained")
            if size + block.nbytes > MOST_BYTES and blocks:
                logger.warning("widths are trained on the first %s samples", f"{sum(map(len, blocks)):,}")
                break
            if blocks and not blocks[-1].joins(block):
                raise UserError(f"{reader.where}: widths are trained on samples of one shape; give such")
            blocks.append(block)
            size += block.nbytes
        if not blocks or sum(map(len, blocks)) < 2:
            raise UserError(
                f"{reader.where}: has no training samples, on which widths are trained; give the training "
                "part a share"
            )
        every = joined(blocks)
        (x,) = every.inputs.values()
        if not x.is_floating_point():
            raise UserError(
                f"{reader.where}: widths are trained on inputs that are floats, these are {x.dtype}"
            )
        order = _order(x)
        x, targets = x[order], every.targets[order]
        return cls(x, targets, x.std(0, correction=0))

    def __len__(self) -> int:
        return len(self.inputs)

    def drawn(
        self, count: int, mixup: float, noise: float, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Made samples [count, ...], and the numbers [count] of those that each is mostly of."""
        first, second = torch.randint(0, len(self), (2, count), generator=generator)
        x = self.inputs[first]
        spread = (-1, *[1] * (x.ndim - 1))
        if mixup:
            share = torch.rand(count, generator=generator).mul_(mixup).reshape(spread)
            x = torch.lerp(x, self.inputs[second], share)
        if noise:
            x = x + torch.randn(x.shape, generator=generator).mul_(noise * self.deviation)
        return x, first


def _order(x: Tensor) -> Tensor:
    """The order [n] of samples by their values alone."""
    flat = x.reshape(len(x), -1).double()
    direction = torch.rand(flat.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.argsort((flat * direction).sum(1), stable=True)
