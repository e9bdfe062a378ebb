"""Stages: parts of a network's logic that follow from their own weights and formats alone.

A stage is a layer with weights and all that follows up to the next. Its content says all that its logic
depends on, the range of its inputs too, so what is estimated of it holds wherever the same comes again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from importlib.metadata import version
from typing import Any

import numpy as np

from widthwise.core.errors import UserError
from widthwise.export.integers.ranges import in_whole_bits, range_after
from widthwise.export.integers.steps import (
    Codes,
    Convolution,
    Linear,
    MaxPool,
    Move,
    Program,
    Relu,
    Requantise,
    RequantiseEach,
    Scale,
    Step,
    Value,
    Window,
)
from widthwise.formats.integer import Integer
from widthwise.formats.integer_each import IntegerEach

Weighted = Linear | Convolution | Scale
KINDS: dict[str, type[Step]] = {
    kind.__name__: kind
    for kind in (Requantise, RequantiseEach, Linear, Convolution, Scale, Relu, MaxPool, Move)
}
FIELDS = ("weight", "bias", "shift", "groups")
DEFINITION = 2  # of what is estimated, part of every key


@dataclass(frozen=True)
class Estimate:
    """Of logic: LUTs, additions and subtractions, and how many adders lie one after the other at most."""

    luts: float
    adders: float
    delay: float

    @classmethod
    def of(cls, logic: Any) -> Estimate:
        """Of alkaid's."""
        adders = sum(op.opcode in (0, 1) for op in logic.ops)
        return cls(float(logic.cost), float(adders), float(logic.latency[1]))


@dataclass(frozen=True)
class NoLogic:
    """Why there is no estimate: alkaid makes no logic of a stage, or its formats have none."""

    reason: str


@dataclass(frozen=True, eq=False)
class Stage:
    """Steps that each read what the one before gives, the first of them codes * 2^-fraction.

    low, high: between which each number lies that it is given. zeros: how many of the last bits of each are
    always zero, flat; None: of none. shapes: of a sample of that, and of what each
    step gives. read: which of its outputs the next stage reads, flat, None: all; those that it multiplies by
    zero need no logic.
    """

    fraction: int
    low: Codes
    high: Codes
    steps: tuple[Step, ...]
    shapes: tuple[tuple[int, ...], ...]
    read: tuple[bool, ...] | None = None
    zeros: tuple[int, ...] | None = None

    @cached_property
    def content(self) -> str:
        """All that its logic depends on, as JSON; equal for equal logic."""
        content = {
            "fractions": [self.fraction, *(step.out.fraction for step in self.steps)],
            "low": self.low.ravel().tolist(),
            "high": self.high.ravel().tolist(),
            "shapes": [list(shape) for shape in self.shapes],
            "steps": [_step_as_json(step) for step in self.steps],
            "read": None if self.read is None else list(map(int, self.read)),
            **({} if self.zeros is None else {"zeros": list(self.zeros)}),
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @classmethod
    def of_content(cls, text: str) -> Stage:
        """The stage that has this content."""
        content = json.loads(text)
        shapes = tuple(tuple(shape) for shape in content["shapes"])
        low, high = (np.array(content[end], dtype=np.int64).reshape(shapes[0]) for end in ("low", "high"))
        values = [Value(str(number), each, 0, 0) for number, each in enumerate(content["fractions"])]
        steps = [
            _step_of_json(step, values[number], values[number + 1])
            for number, step in enumerate(content["steps"])
        ]
        read = None if content["read"] is None else tuple(map(bool, content["read"]))
        zeros = tuple(content["zeros"]) if "zeros" in content else None
        return cls(values[0].fraction, low, high, tuple(steps), shapes, read, zeros)

    @cached_property
    def key(self) -> str:
        """A hash of weights, formats, ranges and shapes, and of what estimates: 32 digits."""
        text = f"{DEFINITION} {version('alkaid')} {self.content}"
        return blake2b(text.encode(), digest_size=16).hexdigest()

    def within(self, low: Codes, high: Codes) -> Stage:
        """The same stage, given other ranges."""
        return replace(self, low=low, high=high)

    def range_after(self) -> tuple[Codes, Codes]:
        """Of each number that it gives, in whole bits; 0 for those that are not read."""
        low, high = self.low, self.high
        for step, shape in zip(self.steps, self.shapes[1:], strict=True):
            low, high = range_after(step, low, high, shape)
        read = np.array(True if self.read is None else np.reshape(self.read, low.shape))
        low, high = in_whole_bits(low, high)
        return low * read, high * read

    @cached_property
    def sharing(self) -> str:
        """All that its sums of products depend on: stages that have it in common find these once."""
        from widthwise.export.rtl.logic import weight_fraction

        at, step = self._weighted
        own = _step_as_json(step)
        own |= {"bias": None, "shift": weight_fraction(step)}
        before = [_step_as_json(each) for each in self.steps[:at]]
        fractions = [self.fraction, *(each.out.fraction for each in self.steps[:at])]
        ends = (self.low.ravel().tolist(), self.high.ravel().tolist())
        zeros = [] if self.zeros is None else [self.zeros]
        return json.dumps([fractions, *ends, self.shapes[: at + 2], before, own, *zeros])

    @cached_property
    def _weighted(self) -> tuple[int, Weighted]:
        """Its step with weights, and which one it is."""
        return next((at, step) for at, step in enumerate(self.steps) if isinstance(step, Weighted))

    def estimate(self) -> Estimate:
        """What alkaid makes of it."""
        return estimates_of([self])[0]


def estimates_of(stages: Sequence[Stage]) -> list[Estimate]:
    """What alkaid makes of stages that are alike in `sharing`: their products, which take long, once."""
    from alkaid.trace import FVArray  # type: ignore[import-untyped]

    from widthwise.export.rtl.logic import products, step_logic

    first = stages[0]
    at, weighted = first._weighted
    step = np.full(first.shapes[0], 2.0**-first.fraction)
    low, high = first.low * step, first.high * step
    if first.zeros is not None:
        step *= 2.0 ** np.reshape(first.zeros, step.shape)
        low, high = np.ceil(low / step) * step, np.floor(high / step) * step
    x = FVArray.from_lhs(low, high, step)
    wires = x
    for each, shape in zip(first.steps[:at], first.shapes[1:], strict=False):
        wires = step_logic(each, [wires], shape)
    sums = products(weighted, wires, first.shapes[at + 1])
    return [_finished(stage, x, sums) for stage in stages]


def _finished(stage: Stage, x: Any, sums: Any) -> Estimate:
    """Of the logic from wires x to what a stage gives, by way of its sums of products."""
    from alkaid.trace import trace
    from alkaid.trace.passes import optimize  # type: ignore[import-untyped]

    from widthwise.export.rtl.logic import step_logic, with_bias

    at, weighted = stage._weighted
    wires = with_bias(weighted, sums, stage.shapes[at + 1])
    for each, shape in zip(stage.steps[at + 1 :], stage.shapes[at + 2 :], strict=True):
        wires = step_logic(each, [wires], shape)
    gives = wires.ravel()
    if stage.read is not None:
        gives = gives[np.flatnonzero(stage.read)]
    if not gives.size:
        return Estimate(0, 0, 0)
    logic = trace(x.ravel(), gives, optimize=False, keep_dead_inputs=True)
    # as `trace` does, but for tracing the result again, which takes most of the time and changes no figure
    return Estimate.of(optimize(logic, keep_dead_inputs=True, retrace=False))


def stages_of(program: Program) -> list[Stage]:
    """The stages one after the other, each given what the one before can give.

    Steps before the first weights belong to the first. Raises UserError where a step reads two values, or a
    value is read by two: these are no chain.
    """
    found: list[Stage] = []
    for stage in alone(program):
        found.append(stage.within(*found[-1].range_after()) if found else stage)
    return found


def alone(program: Program) -> list[Stage]:
    """The stages, each given all that the format of its input has: what follows from its own formats."""
    found: list[list[Step]] = []
    last = program.input
    for step in program.steps:
        if step.x is not last or type(step).__name__ not in KINDS:
            raise UserError(f"{step.out.node}: joins two paths, so the network is no chain of stages")
        if not found or (_is_weighted(step) and any(map(_is_weighted, found[-1]))):
            found.append([])
        found[-1].append(step)
        last = step.out
    following = [steps[0] for steps in found[1:]]
    return [_stage(program, *pair) for pair in zip(found, (*following, None), strict=True)]


def _stage(program: Program, steps: list[Step], following: Step | None) -> Stage:
    given, shapes = steps[0].x, tuple(program.shape(value) for value in (steps[0].x, *(s.out for s in steps)))
    low, high = (np.full(shapes[0], end, dtype=np.int64) for end in (given.low, given.high))
    zeros = _zeros_of(program, given)
    if zeros is not None and given is program.input and isinstance(program.fmt, IntegerEach):
        low, high = (np.broadcast_to(ends, shapes[0]) << zeros for ends in program.fmt.code_ends)
    flat = None if zeros is None else tuple(zeros.reshape(-1).tolist())
    return Stage(given.fraction, low, high, tuple(steps), shapes, _read_by(following, shapes[-1]), flat)


def _zeros_of(program: Program, value: Value) -> Codes | None:
    """How many of the last bits of each number of a value are always zero, in a sample's shape; None: of none
    that is known."""
    shape = program.shape(value)
    if value is program.input and isinstance(program.fmt, IntegerEach):
        return _apart(program.fmt, value, shape)
    maker = next((step for step in program.steps if step.out is value), None)
    if isinstance(maker, RequantiseEach):
        return _apart(maker.fmt, value, shape)
    if not isinstance(maker, Relu | Move | MaxPool):
        return None
    before = _zeros_of(program, maker.x)
    if before is None or not isinstance(maker, MaxPool):
        return None if before is None else before.reshape(shape)
    rows = before.reshape(len(before), -1)  # of channels
    return np.broadcast_to(rows.min(axis=1).reshape(-1, *[1] * (len(shape) - 1)), shape)


def _apart(fmt: IntegerEach, value: Value, shape: tuple[int, ...]) -> Codes:
    widths, fractions = fmt.spread(shape)
    return np.where(widths > 0, value.fraction - fractions, 0)


def _read_by(step: Step | None, shape: tuple[int, ...]) -> tuple[bool, ...] | None:
    """Which numbers of a value of this shape a step multiplies by other than zero; None: all."""
    if isinstance(step, Linear):
        used = step.weight.any(axis=0)  # along the last axis
    elif isinstance(step, Convolution):
        each = step.weight.reshape(step.groups, -1, *step.weight.shape[1:])
        used = each.any(axis=(1, 3, 4)).reshape(-1, *[1] * (len(shape) - 1))  # by channel
    elif isinstance(step, Scale):
        used = (step.weight != 0).reshape(-1, *[1] * (len(shape) - 1))
    else:
        return None
    return None if used.all() else tuple(np.broadcast_to(used, shape).ravel().tolist())


def _is_weighted(step: Step) -> bool:
    return isinstance(step, Weighted)


def _step_as_json(step: Step) -> dict[str, Any]:
    own = {name: getattr(step, name) for name in FIELDS if hasattr(step, name)}
    found: dict[str, Any] = {
        name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in own.items()
    }
    if isinstance(step, Requantise):
        found = {"format": [step.fmt.width, step.fmt.fraction, step.fmt.signed]}
    if isinstance(step, RequantiseEach):
        widths, fractions = (table.reshape(-1).tolist() for table in step.fmt.table)
        found = {"each": [widths, fractions, list(step.fmt.shape), step.fmt.signed]}
    if isinstance(step, Convolution | MaxPool):
        window = step.window
        found["window"] = [window.size, window.stride, window.before, window.dilation]
    return {"kind": type(step).__name__, **found}


def _step_of_json(stored: Mapping[str, Any], x: Value, out: Value) -> Step:
    found = {name: stored[name] for name in FIELDS if name in stored}
    for name in ("weight", "bias"):
        if name in found:
            found[name] = np.array(found[name], dtype=np.int64)
    if "format" in stored:
        found["fmt"] = Integer(*stored["format"])
    if "each" in stored:
        found["fmt"] = IntegerEach(*stored["each"])
    if "window" in stored:
        found["window"] = Window(*(tuple(pair) for pair in stored["window"]))
    return KINDS[stored["kind"]](out=out, x=x, **found)
