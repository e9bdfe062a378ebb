"""Turns: a batch of candidates one after the other, for networks whose values are large.

Each version of a value is computed in the turn of the first candidate that has it, and kept until the last
computation that reads it: which those are follows from the batch. Where what is kept for later candidates
would not fit, the batch is halved.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from widthwise.core.arrays import IntArray
from widthwise.evaluators.engine.plan import Plan
from widthwise.evaluators.engine.walk import MOST_CODE, Consumer, Count


def in_turns(
    plan: Plan,
    inputs: Sequence[Tensor],
    chosen: IntArray,
    consume: Consumer,
    *,
    kept_bytes: int,
    count: Count | None = None,
) -> None:
    """Outputs of all candidates, given to `consume` in parts.

    inputs: the network's inputs, [samples, ...] each; chosen: format indices [K, S]; kept_bytes: what values
    that later candidates read may take beside those of one candidate.
    """
    for rows in _fitting(plan, chosen, in_order(plan, chosen), kept_bytes / len(inputs[0])):
        _Turns(plan, inputs, chosen, rows, consume, count or Count()).run()


def in_order(plan: Plan, chosen: IntArray) -> IntArray:
    """The candidates such that those with a common prefix are neighbours, of several groups the least first.

    A group's prefix is kept until the last group that continues it: if that is the largest, few prefixes are
    kept at the same time.
    """
    keys, code = [], np.zeros(len(chosen), dtype=np.int64)
    for column in [column for step in plan.steps for column in step.slots]:
        code = np.unique(code * (chosen[:, column].max() + 1) + chosen[:, column], return_inverse=True)[1]
        keys += [np.bincount(code)[code], code]
        if code.max() + 1 == len(chosen):
            break
    return np.lexsort(keys[::-1]) if keys else np.arange(len(chosen))


@dataclass(frozen=True, eq=False)
class Versions:
    """Of the values of a step: the version of each candidate [K], and the first candidate of each version."""

    of: IntArray
    first: IntArray


def versions_of(plan: Plan, chosen: IntArray) -> list[Versions]:
    """The versions of each step for candidates [K, S]: one object for steps that depend on the same slots."""
    found: dict[tuple[int, ...], Versions] = {
        (): Versions(np.zeros(len(chosen), dtype=np.int64), np.zeros(1, dtype=np.int64))
    }
    for step in plan.steps:
        if step.depends in found:
            continue
        reads = {plan.steps[read].depends for read in step.inputs} - {()}
        columns = [found[depends].of for depends in reads] + [chosen[:, slot] for slot in step.slots]
        code = columns[0]
        for column in columns[1:]:
            code = code * (int(column.max()) + 1) + column
            if code.max() > MOST_CODE:
                code = np.unique(code, return_inverse=True)[1]
        _, first, versions = np.unique(code, return_index=True, return_inverse=True)
        found[step.depends] = Versions(versions, first)
    return [found[step.depends] for step in plan.steps]


def kept_most(plan: Plan, versions: Sequence[Versions]) -> float:
    """The greatest bytes for one sample that are kept for later candidates at the same time."""
    change = np.zeros(len(versions[0].of) + 1)
    done: dict[tuple[int, int], IntArray] = {}
    for index, readers in enumerate(plan.readers):
        own = versions[index]
        last = own.first
        for reader in readers:
            if versions[reader] is own:
                continue
            key = (id(own), id(versions[reader]))
            if key not in done:
                done[key] = own.first.copy()
                new = versions[reader].first
                np.maximum.at(done[key], own.of[new], new)
            last = np.maximum(last, done[key])
        size = plan.steps[index].sample_bytes
        np.add.at(change, own.first[last > own.first], size)
        np.add.at(change, last[last > own.first], -size)
    return float(change.cumsum().max())


def _fitting(plan: Plan, chosen: IntArray, rows: IntArray, room: float) -> Iterator[IntArray]:
    if len(rows) > 1 and kept_most(plan, versions_of(plan, chosen[rows])) > room:
        for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
            yield from _fitting(plan, chosen, half, room)
    else:
        yield rows


class _Turns:
    """Candidates `rows` of a batch, in this order."""

    def __init__(
        self,
        plan: Plan,
        inputs: Sequence[Tensor],
        chosen: IntArray,
        rows: IntArray,
        consume: Consumer,
        count: Count,
    ) -> None:
        self.plan, self.rows, self.consume, self.count = plan, rows, consume, count
        self.inputs = inputs
        self.chosen: list[list[int]] = chosen[rows].tolist()
        self.versions = versions_of(plan, chosen[rows])
        self.kept: list[dict[int, Any]] = [{} for _ in plan.steps]
        self.reads_left = self._reads()

    def _reads(self) -> list[list[int]]:
        """For each step and version, how many computations read it."""
        done: dict[tuple[int, int], IntArray] = {}
        found = []
        for own, readers in zip(self.versions, self.plan.readers, strict=True):
            total = np.zeros(len(own.first), dtype=np.int64)
            for reader in readers:
                other = self.versions[reader]
                key = (id(own), id(other))
                if key not in done:
                    done[key] = np.bincount(own.of[other.first], minlength=len(own.first))
                total = total + done[key]
            found.append(total.tolist())
        return found

    def run(self) -> None:
        """One candidate after the other."""
        lists = {id(one): (one.of.tolist(), set(one.first.tolist())) for one in self.versions}
        each = [lists[id(one)] for one in self.versions]
        for turn in range(len(self.rows)):
            versions = [of[turn] for of, _ in each]
            for index, (_, first) in enumerate(each):
                if turn in first:
                    self._compute(index, turn, versions)

    def _compute(self, index: int, turn: int, versions: list[int]) -> None:
        """The version of a step that this candidate is the first to have."""
        step = self.plan.steps[index]
        if index < self.plan.placeholders:
            value: Any = self.inputs[index]
        else:
            values = [self.kept[read][versions[read]] for read in step.inputs]
            self._release(step.inputs, versions)
            formats = self.chosen[turn]
            value = step.kernel.one(values, [formats[slot] for slot in step.slots])
            self.count.versions += 1
            self.count.nodes += step.completes
        version = versions[index]
        if self.reads_left[index][version]:
            self.kept[index][version] = value
        if index == len(self.plan.steps) - 1:
            rows = self.rows[self.versions[index].of == version]
            self.consume(rows, value.unsqueeze(0), np.zeros(len(rows), dtype=np.int64))

    def _release(self, reads: Sequence[int], versions: list[int]) -> None:
        """Lets go of values that are read for the last time."""
        for read in reads:
            left = self.reads_left[read]
            left[versions[read]] -= 1
            if not left[versions[read]]:
                del self.kept[read][versions[read]]
