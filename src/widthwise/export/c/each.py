"""Formats in C whose parts have widths of their own: tables by part, and what is done to each number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from math import prod

from widthwise.export.c.stages import Stage
from widthwise.export.integers.steps import Codes, Parts, Program, RequantiseEach


def tables(program: Program, stage: Stage, number: int) -> Iterator[tuple[str, Codes]]:
    """Names and numbers of the tables that a stage's formats need."""
    for place, step in enumerate(stage.then):
        if isinstance(step, RequantiseEach):
            parts, _ = _found(program, step)
            yield from _named(parts, number, place).items()


def lines(program: Program, stage: Stage, number: int, step: RequantiseEach) -> Iterator[str]:
    """The statements that bring v, number `at` of a sample, into its format."""
    place, kind = stage.then.index(step), stage.accumulator
    parts, index = _found(program, step)
    down, least, most, low, high, up = _named(parts, number, place)
    yield "{"
    yield f"  const int32_t part = {index};"
    if parts.down.any():
        yield f"  if ({down}[part]) v = rounded_{kind}(v, {down}[part]);"
    yield f"  v = v < {least}[part] ? {low}[part]"
    yield f"    : v > {most}[part] ? {high}[part] : v * (({kind})1 << {up}[part]);"
    yield "}"


def rounds(stage: Stage) -> bool:
    """Whether some of its numbers are rounded by such a format."""
    steps = [step for step in stage.then if isinstance(step, RequantiseEach)]
    return any(bool(step.parts().down.any()) for step in steps)


def _named(parts: Parts, number: int, place: int) -> dict[str, Codes]:
    return {f"{each.name}_{number}_{place}": getattr(parts, each.name) for each in fields(Parts)}


def _found(program: Program, step: RequantiseEach) -> tuple[Parts, str]:
    """The tables, flat, and which of their numbers goes with number `at` of a sample."""
    parts, shape, sample = step.parts(), step.fmt.shape, program.shape(step.out)
    count = prod(shape)
    if count == 1:
        return parts, "0"
    if shape[0] == count:  # parts along one axis
        inner = prod(sample[len(sample) - len(shape) + 1 :])
        place = "at" if inner == 1 else f"at / {inner}"
        return parts, place if prod(sample) == count * inner else f"({place}) % {count}"
    spread = parts.spread(shape, sample)
    return Parts(*(getattr(spread, each.name).reshape(-1) for each in fields(Parts))), "at"
