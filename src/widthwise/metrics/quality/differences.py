"""Answers that are numbers: what they differ by from the targets, of whose squares figures are sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

from widthwise.core.arrays import FloatArray
from widthwise.metrics.quality.task import Of, Then

MOST = 64  # values of a sample


@dataclass(frozen=True)
class Differences:
    """Outputs less targets, of each output of a sample; metrics: how each that follows from them does so.

    Of more than 64 outputs they are 64 sums with signs drawn at random, of which the squares add up to about
    the same (Charikar, Chen & Farach-Colton 2002), and which are as linear in the outputs as these are.
    """

    links: Mapping[str, tuple[Of, Then]]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those that follow."""
        return tuple(self.links)

    def margins(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Outputs [V, n, ...] less targets [n, ...], [V, n, outputs]."""
        wanted = targets.double().reshape(len(targets), -1)
        found = outputs.double().reshape(*outputs.shape[:2], -1) - wanted
        return _sums(found) if found.shape[-1] > MOST else found

    def width(self, outputs: tuple[int, ...]) -> int:
        """A difference for each output, or so many sums of them."""
        return min(prod(outputs), MOST)

    def shares(self, metric: str, targets: Tensor) -> FloatArray | None:
        """The same [S, outputs] for all targets [S, ...], of r2 by how much those of an output vary.

        None for what is no function of one sum: a mean over several roots, r2 of targets that do not vary.
        """
        wanted = targets.double().reshape(len(targets), -1).cpu().numpy()
        if wanted.shape[1] > MOST:
            of, then = self.links[metric]
            squares = of == "square" and then != "root" and metric != "r2"
            return np.full((len(wanted), MOST), 1 / wanted.size) if squares else None
        if metric == "r2":
            spread = ((wanted - wanted.mean(axis=0)) ** 2).sum(axis=0)
            if not (spread > 0).all():
                return None
            return np.broadcast_to(-1 / (spread * wanted.shape[1]), wanted.shape)
        if self.links[metric][1] == "root" and wanted.shape[1] > 1:
            return None
        return np.full(wanted.shape, 1 / wanted.size)

    def link(self, metric: str) -> tuple[Of, Then]:
        """As given."""
        return self.links[metric]


def _sums(differences: Tensor) -> Tensor:
    """Sums [..., 64] of differences [..., outputs] with signs, always the same ones."""
    outputs = differences.shape[-1]
    signs = torch.randint(2, (outputs,), generator=torch.Generator().manual_seed(outputs)) * 2.0 - 1
    signed = differences * signs.to(differences)
    places = -(-outputs // MOST)
    padded = torch.nn.functional.pad(signed, (0, places * MOST - outputs))
    return padded.reshape(*padded.shape[:-1], places, MOST).sum(-2)
