"""The C source of a network: one function on integers, its weights and its memory, sizes all known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from widthwise.export.c import each as by_part
from widthwise.export.c.stages import Stage, c_type, origins, slots, stages_of, type_of_table
from widthwise.export.integers.steps import (
    Add,
    Codes,
    Convolution,
    Linear,
    MaxPool,
    Program,
    Relu,
    Requantise,
    RequantiseEach,
    Scale,
    Value,
    Window,
    as_image,
    unsaturated,
)
from widthwise.formats.integer_each import IntegerEach

LINE = 100  # characters of a table's lines
Lines = Iterator[str]


def header(program: Program) -> str:
    """network.h: the function, its types, and what the codes stand for."""
    given, result = program.input, program.output
    lines = [
        "/* A network in fixed point, in integers alone; written by widthwise.",
        "",
        f"   x: {_shape(program, given)}; a code stands for code * 2^-NETWORK_X_FRACTION. It is the number",
        "      times 2^NETWORK_X_FRACTION, to the nearest, halves to even, cut to NETWORK_X_LOW and _HIGH.",
        f"   y: {_shape(program, result)}; a code stands for code * 2^-NETWORK_Y_FRACTION.",
        "   Not reentrant: what lies between layers is kept in static memory. */",
        "#ifndef NETWORK_H",
        "#define NETWORK_H",
        "#include <stdint.h>",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        f"typedef {c_type(given)} network_x;",
        f"typedef {c_type(result)} network_y;",
    ]
    for name, value in (("X", given), ("Y", result)):
        lines += [
            f"#define NETWORK_{name}_SIZE {program.size(value)}",
            f"#define NETWORK_{name}_FRACTION ({value.fraction})",
            f"#define NETWORK_{name}_LOW ({_literal(value.low)})",
            f"#define NETWORK_{name}_HIGH ({_literal(value.high)})",
        ]
    if isinstance(program.fmt, IntegerEach):
        lines += _parts_of_input(program, program.fmt)
    return _text(
        [
            *lines,
            "void network(const network_x x[NETWORK_X_SIZE], network_y y[NETWORK_Y_SIZE]);",
            "#ifdef __cplusplus",
            "}",
            "#endif",
            "#endif",
        ]
    )


def _parts_of_input(program: Program, fmt: IntegerEach) -> Lines:
    """How each number of the input is rounded, where these have widths of their own."""
    widths, fractions = fmt.spread(program.shape(program.input))
    up = np.where(widths > 0, program.input.fraction - fractions, 0)
    low, high = (np.broadcast_to(ends, up.shape) << up for ends in fmt.code_ends)
    yield "/* Here each number of x has a grid of its own: it is the number times 2^NETWORK_X_FRACTION to the"
    yield "   nearest multiple of 2^NETWORK_X_ZEROS, halves to even, cut to NETWORK_X_LOWS and _HIGHS. */"
    for name, values in (("ZEROS", up), ("LOWS", low), ("HIGHS", high)):
        listed = ", ".join(_literal(value) for value in values.reshape(-1).tolist())
        yield f"#define NETWORK_X_{name} {{{listed}}}"


def source(program: Program) -> str:
    """network.c."""
    stages = stages_of(program)
    names = _names(program, stages)
    body: list[str] = []
    for number, stage in enumerate(stages):
        body += [
            f"  /* {stage.step.out.node} */",
            *(f"  {line}" for line in _loop(program, stage, number, names)),
        ]
    return _text(
        [
            '#include "network.h"',
            *_helpers(stages),
            *(line for number, stage in enumerate(stages) for line in _tables(program, stage, number)),
            *_memory(program, stages),
            "void network(const network_x x[NETWORK_X_SIZE], network_y y[NETWORK_Y_SIZE]) {",
            *body,
            "}",
        ]
    )


def _helpers(stages: list[Stage]) -> Lines:
    """Rounding by a shift, for each width that is rounded."""
    rounded = {
        stage.accumulator
        for stage in stages
        if by_part.rounds(stage)
        or any(isinstance(step, Requantise) and 0 < step.shift < step.x.bits for step in stage.then)
    }
    for kind in sorted(rounded):
        yield f"/* v / 2^s to the nearest, halves to even; s from 1 to {30 if '32' in kind else 62} */"
        yield f"static {kind} rounded_{kind}({kind} v, int s) {{"
        yield f"  const {kind} down = v < 0 ? ~(~v >> s) : v >> s;"
        yield f"  const {kind} rest = v & ((({kind})1 << s) - 1), half = ({kind})1 << (s - 1);"
        yield "  return down + (rest > half || (rest == half && (down & 1)) ? 1 : 0);"
        yield "}"


def _tables(program: Program, stage: Stage, number: int) -> Lines:
    step = stage.step
    for name, numbers in by_part.tables(program, stage, number):
        yield from table(name, numbers)
    if isinstance(step, Linear | Convolution | Scale):
        yield from table(f"weight_{number}", step.weight)
        yield from table(f"bias_{number}", step.bias)


def table(name: str, codes: Codes, kind: str = "") -> Lines:
    """A constant array of all codes, in their order."""
    yield f"static const {kind or type_of_table(codes)} {name}[{codes.size}] = {{"
    yield from rows(codes)
    yield "};"


def rows(codes: Codes) -> Lines:
    """Numbers with commas, in lines."""
    line = " "
    for code in codes.reshape(-1).tolist():
        text = f" {_literal(code)},"
        if len(line) + len(text) > LINE:
            yield line
            line = " "
        line += text
    yield line


def _memory(program: Program, stages: list[Stage]) -> Lines:
    """Static memory: a union for each slot, of the values that take turns in it."""
    shared: dict[int, list[Value]] = {}
    for value, slot in slots(program, stages).items():
        shared.setdefault(slot, []).append(value)
    numbers = {stage.out: number for number, stage in enumerate(stages)}
    for slot, values in shared.items():
        yield "static union {"
        for value in values:
            yield f"  {c_type(value)} of_{numbers[value]}[{program.size(value)}];"
        yield f"}} memory_{slot};"


def _names(program: Program, stages: list[Stage]) -> dict[Value, str]:
    """What C calls each value."""
    where, same = slots(program, stages), origins(program, stages)
    names = {program.input: "x", same.get(program.output, program.output): "y"}
    for number, stage in enumerate(stages):
        if stage.out in where:
            names[stage.out] = f"memory_{where[stage.out]}.of_{number}"
    return names | {value: names[origin] for value, origin in same.items() if origin in names}


def _loop(program: Program, stage: Stage, number: int, names: dict[Value, str]) -> Lines:
    """The statements of a stage."""
    step, kind = stage.step, stage.accumulator
    x = names[step.x]
    store = [*_after(program, stage, number), f"{names[stage.out]}[at] = ({_stored_type(program, stage)})v;"]
    match step:
        case Linear():
            outputs, inputs = step.weight.shape
            yield f"for (int32_t row = 0; row < {program.size(step.out) // outputs}; row++)"
            yield f"  for (int32_t o = 0; o < {outputs}; o++) {{"
            yield f"    const int32_t at = row * {outputs} + o;"
            yield f"    {kind} v = 0;"
            yield f"    for (int32_t i = 0; i < {inputs}; i++)"
            yield f"      v += ({kind})weight_{number}[o * {inputs} + i] * ({kind}){x}[row * {inputs} + i];"
            yield from _indented([_biased(step.shift, kind, f"bias_{number}[o]"), *store], 4)
            yield "  }"
        case Convolution():
            yield from _convolution(program, step, kind, number, x, store)
        case MaxPool():
            yield from _max_pool(program, step, kind, x, store)
        case Scale():
            each = program.size(step.out) // len(step.bias)
            yield from _each(
                program.size(step.out),
                [
                    f"{kind} v = ({kind})weight_{number}[at / {each}] * ({kind}){x}[at];",
                    _biased(step.shift, kind, f"bias_{number}[at / {each}]"),
                    *store,
                ],
            )
        case Add():
            left = _shifted(f"({kind}){x}[at]", step.shifts[0], kind)
            right = _shifted(f"({kind}){names[step.y]}[at]", step.shifts[1], kind)
            sign = "-" if step.sign < 0 else "+"
            yield from _each(program.size(step.out), [f"{kind} v = {left} {sign} {right};", *store])
        case _:
            yield from _each(program.size(stage.out), [f"{kind} v = ({kind}){x}[at];", *store])


def _convolution(
    program: Program, step: Convolution, kind: str, number: int, x: str, store: list[str]
) -> Lines:
    _, height, width = as_image(program.shape(step.x))
    outputs, high, wide = as_image(program.shape(step.out))
    inputs, window = step.weight.shape[1], step.window
    first = f"(o / {outputs // step.groups}) * {inputs} + c" if step.groups > 1 else "c"
    body = [
        f"v += ({kind})weight_{number}[((o * {inputs} + c) * {window.size[0]} + i) * {window.size[1]} + j]"
        f" * ({kind}){x}[(({first}) * {height} + row) * {width} + column];"
    ]
    inner = [f"for (int32_t c = 0; c < {inputs}; c++)", *_indented(_inside(window, height, width, body), 2)]
    start = [f"{kind} v = 0;"]
    end = [_biased(step.shift, kind, f"bias_{number}[o]"), *store]
    yield from _places(outputs, high, wide, [*start, *inner, *end])


def _max_pool(program: Program, step: MaxPool, kind: str, x: str, store: list[str]) -> Lines:
    channels, height, width = as_image(program.shape(step.x))
    _, high, wide = as_image(program.shape(step.out))
    body = [
        f"const {kind} seen = ({kind}){x}[(o * {height} + row) * {width} + column];",
        "if (seen > v) v = seen;",
    ]
    start = f"{kind} v = {_literal(step.x.low)};"
    yield from _places(channels, high, wide, [start, *_inside(step.window, height, width, body), *store])


def _places(channels: int, high: int, wide: int, body: Iterable[str]) -> Lines:
    """A loop over the channels and places of an image."""
    yield f"for (int32_t o = 0; o < {channels}; o++)"
    yield f"  for (int32_t p = 0; p < {high}; p++)"
    yield f"    for (int32_t q = 0; q < {wide}; q++) {{"
    yield f"      const int32_t at = (o * {high} + p) * {wide} + q;"
    yield from _indented(body, 6)
    yield "    }"


def _inside(window: Window, height: int, width: int, body: Iterable[str]) -> Lines:
    """A loop over what a window at place (p, q) sees of an image."""
    for axis, (index, place, name, size) in enumerate(
        (("i", "p", "row", height), ("j", "q", "column", width))
    ):
        start = f"{place} * {window.stride[axis]} - {window.before[axis]} + {index} * {window.dilation[axis]}"
        yield f"{'  ' * axis}for (int32_t {index} = 0; {index} < {window.size[axis]}; {index}++) {{"
        yield f"{'  ' * axis}  const int32_t {name} = {start};"
        yield f"{'  ' * axis}  if ({name} < 0 || {name} >= {size}) continue;"
    yield from _indented(body, 4)
    yield "  }"
    yield "}"


def _each(size: int, body: Iterable[str]) -> Lines:
    """A loop over all numbers of a value."""
    yield f"for (int32_t at = 0; at < {size}; at++) {{"
    yield from _indented(body, 2)
    yield "}"


def _after(program: Program, stage: Stage, number: int) -> Lines:
    """What is done to v before it is stored."""
    kind = stage.accumulator
    for step in stage.then:
        if isinstance(step, Relu):
            yield "if (v < 0) v = 0;"
            continue
        if isinstance(step, RequantiseEach):
            yield from by_part.lines(program, stage, number, step)
            continue
        low, high = (_literal(code) for code in step.fmt.codes)
        if step.shift >= step.x.bits:  # all are at most half
            yield "v = 0;"
        elif step.shift > 0:
            yield f"v = rounded_{kind}(v, {step.shift});"
        elif step.shift < 0:
            least, most = unsaturated(step)
            inside = _shifted("v", -step.shift if least < most else 0, kind)
            yield f"v = v < {_literal(least)} ? {low} : v > {_literal(most)} ? {high} : {inside};"
            continue
        yield f"v = v < {low} ? {low} : v > {high} ? {high} : v;"


def _stored_type(program: Program, stage: Stage) -> str:
    return "network_y" if stage.out is program.output else c_type(stage.out)


def _biased(shift: int, kind: str, bias: str) -> str:
    return f"v = {_shifted('v', shift, kind)} + ({kind}){bias};"


def _shifted(value: str, bits: int, kind: str) -> str:
    """Times a power of two: C leaves shifts of negative numbers open."""
    return f"{value} * (({kind})1 << {bits})" if bits else value


def _literal(code: int) -> str:
    return str(code) if -(2**31) < code < 2**31 else f"INT64_C({code})"


def _shape(program: Program, value: Value) -> str:
    return " x ".join(map(str, program.shape(value))) or "1"


def _indented(lines: Iterable[str], by: int) -> Lines:
    for line in lines:
        yield " " * by + line


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"
