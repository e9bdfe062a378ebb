"""Samples made of those there are: mixed with others, with noise on each feature, images moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from widthwise.core.errors import UserError
from widthwise.data.blocks import DataBlock

if TYPE_CHECKING:
    from widthwise.training.finetuning.settings import Finetuning

IMAGE_AXES = 4  # samples, channels, rows, columns


@dataclass(frozen=True, eq=False)
class Made:
    """How samples are made: settings, and the standard deviation of each feature by the name of its input."""

    settings: Finetuning
    deviations: Mapping[str, Tensor]

    @classmethod
    def of(cls, settings: Finetuning, block: DataBlock, where: str) -> Made:
        """By the samples of a block; UserError where nothing can be made of such."""
        floats = {name: x for name, x in block.inputs.items() if x.is_floating_point()}
        if not floats or not block.has_rows:
            raise UserError(
                f"{where}: mixup, noise and crop make samples of floats, a row each, and these are none; "
                "leave them out of [search.finetune]"
            )
        if settings.crop and not any(x.ndim == IMAGE_AXES for x in floats.values()):
            raise UserError(
                f"{where}: crop moves images [samples, channels, rows, columns], and these are none; "
                "leave it out"
            )
        return cls(settings, {name: x.std(0, correction=0) for name, x in floats.items()})

    def __call__(self, block: DataBlock, generator: torch.Generator) -> DataBlock:
        """Samples made of a block's, as many; their targets are not theirs. Inputs but floats stay.

        Each is, by Zhang et al. 2018 (mixup), (1 - s) * x + s * x' with s uniform up to `mixup` and the same
        x' and s in all inputs, moved and with noise.
        """
        count, settings = len(block), self.settings
        other = torch.randperm(count, generator=generator)
        share = torch.rand(count, generator=generator).mul_(settings.mixup)
        moves = torch.randint(-settings.crop, settings.crop + 1, (2,), generator=generator).tolist()
        inputs = dict(block.inputs)
        for name, deviation in self.deviations.items():
            x = inputs[name]
            mixed = torch.lerp(x, x[other.to(x.device)], share.to(x).reshape(-1, *[1] * (x.ndim - 1)))
            moved = _moved(mixed, *moves) if settings.crop and x.ndim == IMAGE_AXES else mixed
            drawn = torch.randn(x.shape, generator=generator).to(x)
            inputs[name] = moved + drawn * (settings.noise * deviation.to(x))
        return DataBlock(inputs, block.targets)


def _moved(x: Tensor, down: int, right: int) -> Tensor:
    """Images moved by so many pixels, their edges repeated: a crop of the padded image."""
    rows, columns = x.shape[-2:]
    pad = max(abs(down), abs(right))
    wide = F.pad(x, (pad, pad, pad, pad), mode="replicate")
    return wide[..., pad - down : pad - down + rows, pad - right : pad - right + columns]
