"""LUTs and adders of many candidates: alkaid's estimate of each stage of a network, and their sum.

A stage is a layer with weights and all that follows up to the next: with the formats of these alone, its
logic is known, so few stages have to be looked at for many candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from torch import Tensor

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.export.integers.reading import read_program, with_shapes
from widthwise.export.integers.steps import (
    Add,
    Convolution,
    Linear,
    Program,
    Requantise,
    Scale,
    Step,
    Value,
    reads,
)
from widthwise.metrics.cost.counts import NodeBits, NodeCounts
from widthwise.spaces.slots import Slot, schemes

if TYPE_CHECKING:
    from widthwise.network.graph import Graph

Figure = Literal["luts", "adders"]
OfChosen = Callable[[IntArray], FloatArray]


@dataclass(frozen=True)
class LogicCost:
    """A cost that follows from a network's weights and formats: `luts` or `adders`."""

    figure: Figure

    def __call__(self, counts: NodeCounts, bits: NodeBits) -> FloatArray:
        """Raises UserError: what nodes do and the bits of their numbers don't tell it."""
        raise UserError(f"{self.figure}: is of networks whose formats are searched, not their widths")

    def of_graph(self, graph: Graph, slots: Sequence[Slot], example: tuple[Tensor, ...]) -> OfChosen:
        """The costs [K] of a network for format indices [K, S]; NaN where it has no formats at all.

        Raises UserError for networks that can't be written as logic in all the formats that slots have.
        """
        try:
            import alkaid  # type: ignore[import-untyped]  # noqa: F401
        except ImportError as error:
            raise UserError(f"{self.figure}: needs {error.name}; pip install 'widthwise[fpga]'") from error
        if all(fmt is None for slot in slots for fmt in slot.formats):
            return lambda chosen: np.full(len(chosen), np.nan)
        stages = Stages(graph, tuple(slots), example)
        _check(self.figure, stages)
        at = ("luts", "adders").index(self.figure)
        return lambda chosen: stages(chosen)[:, at]


luts, adders = LogicCost("luts"), LogicCost("adders")


@dataclass(frozen=True, eq=False)
class Stages:
    """A network's stages, and what is known of them: by stage and the formats of its slots."""

    graph: Graph
    slots: tuple[Slot, ...]
    example: tuple[Tensor, ...]
    known: dict[tuple[int, tuple[int, ...]], tuple[float, float]] = field(default_factory=dict)

    def __call__(self, chosen: IntArray) -> FloatArray:
        """LUTs and adders [K, 2] for format indices [K, S]."""
        total = np.zeros((len(chosen), 2))
        for stage, columns in enumerate(self.columns()):
            rows, first, which = np.unique(chosen[:, columns], axis=0, return_index=True, return_inverse=True)
            each = [
                self._of_stage(stage, tuple(row.tolist()), chosen[at])
                for row, at in zip(rows, first, strict=True)
            ]
            total += np.array(each).reshape(-1, 2)[which.reshape(-1)]
        return total

    def columns(self) -> list[list[int]]:
        """The slots that each stage's logic follows from."""
        layers = [layer.name for layer in self.graph.layers]
        weighted = [layer.name for layer in self.graph.layers if layer.stored.get("weight")]
        begins = [layers.index(name) for name in weighted]
        found = []
        for number, begin in enumerate(begins):
            end = begins[number + 1] if number + 1 < len(begins) else len(layers)
            inside = set(layers[begin:end])
            following = layers[end] if end < len(layers) else ""
            read = set(layers[:begin]) if number == 0 else set()  # what reads the input first
            found.append(
                [
                    column
                    for column, slot in enumerate(self.slots)
                    if slot.layer in inside or (slot.tensor == "data_in" and slot.layer in {following, *read})
                ]
            )
        return found

    def program(self, row: IntArray) -> tuple[Program | None, list[str]]:
        """The network in the formats of a row [S], or why there is no such program."""
        graph = self.graph.quantized(schemes(self.slots, row))
        program, reasons = read_program(graph)
        if program is not None:
            program = with_shapes(program, graph, self.example[0])
        return program, reasons

    def _of_stage(self, stage: int, formats: tuple[int, ...], row: IntArray) -> tuple[float, float]:
        key = (stage, formats)
        if key not in self.known:
            program, reasons = self.program(row)
            if program is None:
                raise UserError("; ".join(reasons))
            self.known[key] = stage_cost(program, staged(program)[stage])
        return self.known[key]


def staged(program: Program) -> list[list[Step]]:
    """The steps by stage; those before the first weights belong to the first stage."""
    found: list[list[Step]] = []
    for step in program.steps:
        begins = isinstance(step, Linear | Convolution | Scale)
        if not found or (begins and any(isinstance(s, Linear | Convolution | Scale) for s in found[-1])):
            found.append([])
        found[-1].append(step)
    return found


def stage_cost(program: Program, steps: Sequence[Step]) -> tuple[float, float]:
    """LUTs and adders of a stage, its input anything that its format holds; not below 0 behind a ReLU."""
    from alkaid.trace import FVArray, trace  # type: ignore[import-untyped]

    from widthwise.export.rtl.logic import step_logic

    given = steps[0].x
    shape = program.shape(given)
    low = 0 if _not_below_zero(program, given) else given.low
    step = np.full(shape, 2.0**-given.fraction)
    x = FVArray.from_lhs(low * step, given.high * step, step)
    wires = {given: x}
    for each in steps:
        wires[each.out] = step_logic(program, each, [wires[value] for value in reads(each)])
    logic = trace(x.ravel(), wires[steps[-1].out].ravel(), keep_dead_inputs=True)
    return logic.cost, float(sum(op.opcode in (0, 1) for op in logic.ops))


def _not_below_zero(program: Program, value: Value) -> bool:
    """Whether a rounded value's origin has no negative numbers."""
    origins = [step.x for step in program.steps if step.out is value and isinstance(step, Requantise)]
    return all(origin.low >= 0 for origin in origins) if origins else value.low >= 0


def _check(figure: str, stages: Stages) -> None:
    """Raises UserError where some of the formats can't be written, or paths are added."""
    first = np.zeros(len(stages.slots), dtype=np.int64)
    for column, slot in enumerate(stages.slots):
        for choice in range(len(slot.formats)):
            row = first.copy()
            row[column] = choice
            program, reasons = stages.program(row)
            if program is None:
                raise UserError(f"{figure}: this network is no logic: {reasons[0]}")
            if any(isinstance(step, Add) for step in program.steps):
                raise UserError(
                    f"{figure}: the network adds two paths, so its stages' logic is not one after the other; "
                    "take ebops as the cost, and export a trial as verilog for its LUTs"
                )
