"""Answers that are numbers: what they differ by from the targets, of whose squares figures are sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
from torch import Tensor

from widthwise.core.arrays import FloatArray
from widthwise.metrics.quality.task import Of, Then


@dataclass(frozen=True)
class Differences:
    """Outputs less targets, of each output of a sample; metrics: how each that follows from them does so."""

    links: Mapping[str, tuple[Of, Then]]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those that follow."""
        return tuple(self.links)

    def margins(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Outputs [V, n, ...] less targets [n, ...], [V, n, outputs]."""
        wanted = targets.double().reshape(len(targets), -1)
        return outputs.double().reshape(*outputs.shape[:2], -1) - wanted

    def width(self, outputs: tuple[int, ...]) -> int:
        """A difference for each output."""
        return prod(outputs)

    def shares(self, metric: str, targets: Tensor) -> FloatArray | None:
        """The same [S, outputs] for all targets [S, ...], of r2 by how much those of an output vary.

        None for what is no function of one sum: a mean over several roots, r2 of targets that do not vary.
        """
        wanted = targets.double().reshape(len(targets), -1).cpu().numpy()
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
