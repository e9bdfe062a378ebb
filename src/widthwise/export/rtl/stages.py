"""Stages: parts of a network's logic that follow from their own weights and formats alone.

A stage is a layer with weights and all that follows up to the next. Its content says all that its logic
depends on, so what is estimated of it holds wherever the same content comes again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from importlib.metadata import version
from typing import Any

import numpy as np

from widthwise.core.errors import UserError
from widthwise.export.integers.steps import (
    Convolution,
    Linear,
    MaxPool,
    Move,
    Program,
    Relu,
    Requantise,
    Scale,
    Step,
    Value,
    Window,
)
from widthwise.formats.integer import Integer

KINDS: dict[str, type[Step]] = {
    kind.__name__: kind for kind in (Requantise, Linear, Convolution, Scale, Relu, MaxPool, Move)
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


@dataclass(frozen=True, eq=False)
class Stage:
    """Steps that each read what the one before gives, the first of them `given`.

    shapes: of a sample of `given` and of what each step gives. read: which of its outputs the next stage
    reads, flat; those that it multiplies by zero need no logic. None: all.
    """

    given: Value
    steps: tuple[Step, ...]
    shapes: tuple[tuple[int, ...], ...]
    read: tuple[bool, ...] | None = None

    @cached_property
    def content(self) -> str:
        """All that its logic depends on, as JSON; equal for equal logic."""
        values = [self.given, *(step.out for step in self.steps)]
        content = {
            "values": [[value.fraction, value.low, value.high] for value in values],
            "shapes": [list(shape) for shape in self.shapes],
            "steps": [_step_as_json(step) for step in self.steps],
            "read": None if self.read is None else list(map(int, self.read)),
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @classmethod
    def of_content(cls, text: str) -> Stage:
        """The stage that has this content."""
        content = json.loads(text)
        values = [Value(str(number), *each) for number, each in enumerate(content["values"])]
        steps = [
            _step_of_json(step, values[number], values[number + 1])
            for number, step in enumerate(content["steps"])
        ]
        read = None if content["read"] is None else tuple(map(bool, content["read"]))
        return cls(values[0], tuple(steps), tuple(tuple(shape) for shape in content["shapes"]), read)

    @cached_property
    def key(self) -> str:
        """A hash of weights, formats and shapes, and of what estimates: 32 digits."""
        text = f"{DEFINITION} {version('alkaid')} {self.content}"
        return blake2b(text.encode(), digest_size=16).hexdigest()

    def estimate(self) -> Estimate:
        """What alkaid makes of it, its input anything in the range of `given`."""
        from alkaid.trace import FVArray, trace  # type: ignore[import-untyped]

        from widthwise.export.rtl.logic import step_logic

        step = np.full(self.shapes[0], 2.0**-self.given.fraction)
        x = FVArray.from_lhs(self.given.low * step, self.given.high * step, step)
        wires = x
        for each, shape in zip(self.steps, self.shapes[1:], strict=True):
            wires = step_logic(each, [wires], shape)
        given, gives = x.ravel(), wires.ravel()
        if self.read is not None:
            gives = gives[np.flatnonzero(self.read)]
        return Estimate.of(trace(given, gives, keep_dead_inputs=True)) if gives.size else Estimate(0, 0, 0)


def stages_of(program: Program) -> list[Stage]:
    """The stages one after the other; steps before the first weights belong to the first.

    Raises UserError where a step reads two values, or a value is read by two: these are no chain.
    """
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
    given = steps[0].x
    if _not_below_zero(program, given):
        given = Value(given.node, given.fraction, 0, given.high)
    shapes = (program.shape(given), *(program.shape(step.out) for step in steps))
    return Stage(given, tuple(steps), shapes, _read_by(following, shapes[-1]))


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
    return isinstance(step, Linear | Convolution | Scale)


def _not_below_zero(program: Program, value: Value) -> bool:
    """Whether a rounded value's origin has no negative numbers, as behind a ReLU."""
    origins = [step.x for step in program.steps if step.out is value and isinstance(step, Requantise)]
    return all(origin.low >= 0 for origin in origins) if origins else value.low >= 0


def _step_as_json(step: Step) -> dict[str, Any]:
    own = {name: getattr(step, name) for name in FIELDS if hasattr(step, name)}
    found: dict[str, Any] = {
        name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in own.items()
    }
    if isinstance(step, Requantise):
        found = {"format": [step.fmt.width, step.fmt.fraction, step.fmt.signed]}
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
    if "window" in stored:
        found["window"] = Window(*(tuple(pair) for pair in stored["window"]))
    return KINDS[stored["kind"]](out=out, x=x, **found)
