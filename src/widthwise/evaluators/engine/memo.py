"""The memo: one candidate at a time, with the values of earlier candidates kept as long as they have room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from widthwise.core.arrays import IntArray
from widthwise.evaluators.engine.plan import Plan
from widthwise.evaluators.engine.stacks import leaf_bytes

Key = tuple[int, ...]
ENTRY = 1024  # bytes of an entry, whatever its value


class Memo:
    """Values of a plan's steps by what they depend on, the least recently used given up first."""

    def __init__(self, plan: Plan, most_bytes: int) -> None:
        self.plan = plan
        self.most_bytes = most_bytes
        self.bytes = 0
        self.kept: OrderedDict[Key, tuple[Any, int]] = OrderedDict()

    def outputs(self, block: int, inputs: Mapping[str, Tensor], chosen: IntArray) -> Tensor:
        """Outputs [1, samples, ...] of one candidate's formats [S]; `block` identifies the inputs."""
        outputs: Tensor = self._last(block, tuple(inputs.values()), chosen.tolist())
        return outputs.unsqueeze(0)

    def forget(self) -> None:
        """Starts anew: the blocks that follow are not those that the numbers meant before."""
        self.kept.clear()
        self.bytes = 0

    def _last(self, block: int, inputs: Sequence[Tensor], chosen: list[int]) -> Any:
        """The value of the last step, of those before it only what it needs and is not kept."""
        plan = self.plan
        values: dict[int, Any] = dict(enumerate(inputs))
        missing: list[tuple[int, Key]] = []  # the last first
        needed = {len(plan.steps) - 1}
        last_use: dict[int, int] = {}
        for index in range(len(plan.steps) - 1, plan.placeholders - 1, -1):
            if index not in needed:
                continue
            key = (block, index, *[chosen[slot] for slot in plan.steps[index].depends])
            if (found := self.kept.get(key)) is not None:
                self.kept.move_to_end(key)
                values[index] = found[0]
            else:
                missing.append((index, key))
                for read in plan.steps[index].inputs:
                    needed.add(read)
                    last_use.setdefault(read, index)
        for index, key in reversed(missing):
            step = plan.steps[index]
            value = step.kernel.one(
                [values[read] for read in step.inputs], [chosen[slot] for slot in step.slots]
            )
            values[index] = value
            for read in step.inputs:
                if last_use[read] == index:
                    values.pop(read, None)
            if plan.worth_keeping[index]:
                self._keep(key, value)
        return values[len(plan.steps) - 1]

    def _keep(self, key: Key, value: Any) -> None:
        size = ENTRY + leaf_bytes(value)
        if size > self.most_bytes:
            return
        self.kept[key] = (value, size)
        self.bytes += size
        while self.bytes > self.most_bytes:
            _, (_, freed) = self.kept.popitem(last=False)
            self.bytes -= freed
