"""The loops of a C program: each step that gathers numbers, with what is done to each, and memory."""

from __future__ import annotations

from dataclasses import dataclass

from widthwise.export.integers.steps import (
    Codes,
    Move,
    Program,
    Relu,
    Requantise,
    RequantiseEach,
    Step,
    Value,
    reads,
)

WIDTHS = (8, 16, 32, 64)
Each = Relu | Requantise | RequantiseEach  # what is done to each number by itself


@dataclass(frozen=True, eq=False)
class Stage:
    """One loop: a step, and ReLUs and formats of each number before it is stored as `out`."""

    step: Step
    then: tuple[Each, ...]
    out: Value

    @property
    def accumulator(self) -> str:
        """The C type of all that is computed in it."""
        values = (*reads(self.step), self.step.out, *(step.out for step in self.then))
        return f"int{32 if max(value.bits for value in values) < 32 else 64}_t"


def stages_of(program: Program) -> list[Stage]:
    """The loops in their order; moves of data take none."""
    found, done = [], set[Step]()
    for step in program.steps:
        if step in done or isinstance(step, Move):
            continue
        then, out = _followers(program, step)
        done |= {step, *then}
        own = (step,) if isinstance(step, Each) else ()
        found.append(Stage(step, (*own, *then), out))
    return found


def _followers(program: Program, step: Step) -> tuple[tuple[Each, ...], Value]:
    """What can be done to each number of a step right away, as nothing else reads it; what is then stored."""
    then: list[Each] = []
    out = step.out
    while out is not program.output:
        readers = program.readers(out)
        if len(readers) != 1 or not isinstance(reader := readers[0], Move | Each):
            break
        if not isinstance(reader, Move):
            then.append(reader)
        out = reader.out
    return tuple(then), out


def origins(program: Program, stages: list[Stage]) -> dict[Value, Value]:
    """By value that no loop stores: the one whose memory it is, in another shape."""
    moved = {step.out: step.x for step in program.steps if isinstance(step, Move)}
    stored = {program.input, *(stage.out for stage in stages)}
    found = {}
    for value in moved:
        origin = value
        while origin not in stored and origin in moved:
            origin = moved[origin]
        found[value] = origin
    return found


def slots(program: Program, stages: list[Stage]) -> dict[Value, int]:
    """By value that is stored between loops: the memory that it shares with others, none of which is needed
    while it is."""
    same = origins(program, stages)
    last: dict[Value, int] = {}
    for at, stage in enumerate(stages):
        for value in reads(stage.step):
            last[same.get(value, value)] = at
    found: dict[Value, int] = {}
    until: list[int] = []  # by slot: the loop that reads it last
    for at, stage in enumerate(stages):
        if stage.out is same.get(program.output, program.output):
            continue
        free = next((slot for slot, end in enumerate(until) if end < at), len(until))
        until[free : free + 1] = [last[stage.out]]
        found[stage.out] = free
    return found


def c_type(value: Value) -> str:
    """The narrowest type that holds all codes."""
    if value.low >= 0:
        return f"uint{next(width for width in WIDTHS if value.high < 2**width)}_t"
    return f"int{next(width for width in WIDTHS if value.bits <= width)}_t"


def type_of_table(codes: Codes) -> str:
    """The narrowest signed type that holds all codes of a table."""
    low, high = int(codes.min(initial=0)), int(codes.max(initial=0))
    return c_type(Value("", 0, min(low, -1), high))


def bits_of_table(codes: Codes) -> int:
    """Bits of a number of a table, as C stores it."""
    return int(type_of_table(codes).removeprefix("int").removesuffix("_t"))
