"""Programs made simpler before they are written."""

from __future__ import annotations

from dataclasses import replace

from widthwise.export.integers.steps import MaxPool, Move, Program, Relu, Requantise, Step, Value

Passed = tuple[type[MaxPool | Move | Relu], ...]


def quantised_early(program: Program, before: Passed = (MaxPool, Move)) -> Program:
    """Formats before the moves and maxima that they follow: these then work on, and keep, narrow numbers.

    The order of numbers is the same in a format, so the greatest of them is too. before: what formats pass;
    of ReLU too, as 0 is a number of every format.
    """
    steps, at = list(program.steps), 0
    while at < len(steps):
        step = steps[at]
        maker = _maker(steps, step.x, before) if isinstance(step, Requantise) else None
        if not isinstance(step, Requantise) or maker is None or not _can_swap(program, steps, step):
            at += 1
            continue
        narrow = Value(maker.x.node, step.out.fraction, step.out.low, step.out.high)
        place = steps.index(maker)
        steps[place : place + 1] = [
            replace(step, out=narrow, x=maker.x),
            replace(maker, out=step.out, x=narrow),
        ]
        steps.remove(step)
        at = place  # it may go on from there
    return replace(program, steps=tuple(steps))


def _maker(steps: list[Step], value: Value, kinds: Passed) -> MaxPool | Move | Relu | None:
    """The step of these kinds that makes a value."""
    found = next((step for step in steps if step.out is value), None)
    return found if isinstance(found, MaxPool | Move | Relu) and isinstance(found, kinds) else None


def _can_swap(program: Program, steps: list[Step], step: Requantise) -> bool:
    """Whether nothing else reads what a format reads."""
    readers = replace(program, steps=tuple(steps)).readers(step.x)
    return readers == [step] and step.x is not program.output
