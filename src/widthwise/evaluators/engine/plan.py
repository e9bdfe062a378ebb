"""Plans: a network as steps, each with the slots that its value depends on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from widthwise.evaluators.engine.kernels import Kernel
from widthwise.spaces.slots import Slot


@dataclass(frozen=True, eq=False)
class Step:
    """One computation: which values it reads, its own slots, and all slots that its value depends on."""

    name: str
    inputs: tuple[int, ...]  # positions of the steps whose values it reads
    slots: tuple[int, ...]  # columns of the chosen formats [K, S]
    depends: tuple[int, ...]  # the same for everything before it too, ascending
    kernel: Kernel
    sample_bytes: float  # of one version, for one sample
    completes: bool  # a call of the graph, rather than a part of one (its input quantised), or an input


@dataclass(frozen=True, eq=False)
class Plan:
    """Steps in execution order: the first `placeholders` are the network's inputs, the last its output."""

    steps: tuple[Step, ...]
    placeholders: int
    slots: tuple[Slot, ...]  # calibrated: what follows the data is fixed
    last_use: tuple[int, ...]  # for each step, the last one that reads it

    @cached_property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        """For each step those that read its value, each once."""
        found: list[list[int]] = [[] for _ in self.steps]
        for index, step in enumerate(self.steps):
            for read in step.inputs:
                found[read].append(index)
        return tuple(map(tuple, found))

    @cached_property
    def worth_keeping(self) -> tuple[bool, ...]:
        """For each step whether its value may be needed again: no, if its readers depend on the same."""
        last = len(self.steps) - 1
        return tuple(
            index == last or any(self.steps[reader].depends != step.depends for reader in readers)
            for index, (step, readers) in enumerate(zip(self.steps, self.readers, strict=True))
        )

    @property
    def widest(self) -> float:
        """Bytes of the widest value of one version for one sample."""
        return max(step.sample_bytes for step in self.steps)

    @property
    def live_most(self) -> int:
        """The greatest number of values that are kept at the same time."""
        ended = np.cumsum(np.bincount(np.array(self.last_use) + 1, minlength=len(self.steps) + 1))
        return int((np.arange(1, len(self.steps) + 1) - ended[: len(self.steps)]).max())
