"""The walk: a batch of candidates through a plan, every distinct version of every value computed once.

The versions of a value are the distinct rows of the batch over the slots that it depends on. Where those of
a step would take more memory than one stack may, the candidates are split by version, and each part goes down
the rest of the plan by itself, with the stacks above still in place: a prefix tree, walked depth first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from widthwise.core.arrays import IntArray
from widthwise.evaluators.engine.plan import Plan

LARGE = 2**19  # bytes: versions of larger values go one at a time, which saves copying them together
MOST_CODE = 2**31  # product of two such still is an int64

Consumer = Callable[[IntArray, Tensor, IntArray], None]
"""Called with rows [R] of the batch, outputs [versions, samples, ...], and the version of each row [R]."""


@dataclass(frozen=True, eq=False)
class Value:
    """A stack and, for each candidate at hand, the version that it has."""

    stack: Any
    versions: IntArray


@dataclass
class Count:
    """How much was computed: versions of steps, and of those that complete a node of the graph."""

    versions: int = 0
    nodes: int = 0


def walk(
    plan: Plan,
    inputs: Sequence[Tensor],
    chosen: IntArray,
    consume: Consumer,
    *,
    stack_bytes: int,
    count: Count | None = None,
) -> None:
    """Outputs of all candidates, given to `consume` in parts.

    inputs: the network's inputs, [samples, ...] each; chosen: format indices [K, S]; stack_bytes: what one
    stack may take, though never less than one version.
    """
    _Walk(plan, inputs, chosen, consume, stack_bytes, count or Count()).start()


class _Walk:
    def __init__(
        self,
        plan: Plan,
        inputs: Sequence[Tensor],
        chosen: IntArray,
        consume: Consumer,
        stack_bytes: int,
        count: Count,
    ) -> None:
        self.plan, self.chosen, self.consume, self.count = plan, chosen, consume, count
        self.inputs = inputs
        self.samples = len(inputs[0])
        self.stack_bytes = stack_bytes

    def start(self) -> None:
        """Sorts the candidates so that those with a common prefix are neighbours, and walks."""
        order = [column for step in self.plan.steps for column in step.slots]
        rows = np.lexsort(self.chosen.T[order[::-1]]) if order else np.arange(len(self.chosen))
        values = {}
        for index, stack in enumerate(self.inputs):
            values[index] = Value(stack.unsqueeze(0), np.zeros(len(rows), dtype=np.int64))
        self._down(len(self.inputs), rows, values)

    def _down(self, start: int, rows: IntArray, values: dict[int, Value]) -> None:
        """The steps from `start` on, for candidates `rows`, with the values that they still read."""
        for index in range(start, len(self.plan.steps)):
            step = self.plan.steps[index]
            reads, own = [values[read] for read in step.inputs], self.chosen[rows][:, list(step.slots)]
            distinct = distinct_versions if step.depends else one_version
            picks, choices, versions = distinct(reads, own)
            each = step.sample_bytes * self.samples
            room = 1 if each > LARGE else max(1, int(self.stack_bytes / max(each, 1)))
            if len(choices) > room:
                self._split(index, rows, values, versions, room)
                return
            stack = step.kernel([value.stack for value in reads], picks, choices)
            self.count.versions += len(choices)
            self.count.nodes += len(choices) * step.completes
            values[index] = Value(stack, versions)
            for read in set(step.inputs):
                if self.plan.last_use[read] == index:
                    del values[read]
        self.consume(rows, values[len(self.plan.steps) - 1].stack, versions)

    def _split(
        self, index: int, rows: IntArray, values: dict[int, Value], versions: IntArray, room: int
    ) -> None:
        order = np.argsort(versions, kind="stable")
        total = int(versions[order[-1]]) + 1
        parts = -(-total // room)
        bounds = np.searchsorted(versions[order], np.linspace(0, total, parts + 1).astype(np.int64)[1:-1])
        for part in np.split(order, bounds):
            own = {key: Value(value.stack, value.versions[part]) for key, value in values.items()}
            self._down(index, rows[part], own)


def distinct_versions(reads: Sequence[Value], own: IntArray) -> tuple[list[IntArray], IntArray, IntArray]:
    """The distinct pairs of input versions and choices of R candidates.

    `own` [R, slots]. Returns for each input the version that each of the V pairs is made from ([V] each), the
    choices of each pair [V, slots], and each candidate's pair [R]; pairs are sorted by inputs, then choices.
    """
    columns = [value.versions for value in reads] + list(own.T)
    if len(own) == 1 or not columns:
        return one_version(reads, own)
    code = columns[0]
    for column in columns[1:]:
        code = code * (int(column.max()) + 1) + column
        if code.max() > MOST_CODE:
            code = np.unique(code, return_inverse=True)[1]
    steps = np.diff(code)
    if (steps >= 0).all():  # the candidates are sorted, so this is the common case
        first = np.concatenate(([0], np.flatnonzero(steps) + 1))
        versions = np.concatenate(([0], np.cumsum(steps > 0)))
    else:
        _, first, versions = np.unique(code, return_index=True, return_inverse=True)
    return [value.versions[first] for value in reads], own[first], versions


def one_version(reads: Sequence[Value], own: IntArray) -> tuple[list[IntArray], IntArray, IntArray]:
    """As `distinct_versions`, where all candidates are known to share one version."""
    return [value.versions[:1] for value in reads], own[:1], np.zeros(len(own), dtype=np.int64)
