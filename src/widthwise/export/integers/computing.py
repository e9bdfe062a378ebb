"""What a program of integers computes, in numpy: the figures that test benches expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from widthwise.core.errors import UserError
from widthwise.export.integers.steps import (
    Add,
    Codes,
    Convolution,
    Linear,
    MaxPool,
    Move,
    Pair,
    Program,
    Relu,
    Requantise,
    RequantiseEach,
    Scale,
    Step,
    Value,
    Window,
    as_image,
    unsaturated,
)
from widthwise.formats.integer_each import IntegerEach

if TYPE_CHECKING:
    from torch import Tensor


def compute(program: Program, codes: Codes) -> Codes:
    """Codes of the output [n, ...] for codes of the input [n, ...], exactly."""
    values: dict[Value, Codes] = {program.input: codes.astype(np.int64)}
    for step in program.steps:
        x = values[step.x]
        if isinstance(step, Add):
            x, y = x << step.shifts[0], values[step.y] << step.shifts[1]
            values[step.out] = x + step.sign * y
        else:
            values[step.out] = computed(step, x, program.shape(step.out))
    return values[program.output]


def computed(step: Step, x: Codes, shape: tuple[int, ...]) -> Codes:
    """Codes [n, *shape] of what a step of one value gives for codes x [n, ...]."""
    places = as_image(shape)[1:] if isinstance(step, Convolution | MaxPool) else (1, 1)
    return _computed(step, x, places).reshape(len(x), *shape)


def sample_codes(program: Program, samples: int) -> Codes:
    """Codes [samples, ...] to try a program with: the least, the greatest, zeros, then at random; always the
    same."""
    shape, up = program.shape(program.input), np.array(0)
    low, high = np.array(program.input.low), np.array(program.input.high)
    if isinstance(fmt := program.fmt, IntegerEach):
        low, high = fmt.code_ends
        up = np.where(fmt.table[0] > 0, program.input.fraction - fmt.table[1], 0)
    drawn = np.random.default_rng(0).integers(low, high, (samples, *shape), endpoint=True)
    for row, code in enumerate((low, high, 0)[:samples]):
        drawn[row] = code
    found: Codes = drawn << up
    return found


def codes_of(program: Program, x: Tensor) -> Codes:
    """Codes of inputs [n, ...], as the network reads them. Raises UserError for NaN, which has none."""
    if bool(x.isnan().any()):
        raise UserError("the samples hold NaN, which has no code in fixed point; clean the data")
    values = program.fmt.quantize(x.double()).numpy()
    codes: Codes = np.ldexp(values, program.input.fraction).astype(np.int64)
    return codes


def rounded(codes: Codes, shift: int) -> Codes:
    """codes * 2^-shift to the nearest, halves to even; shift above 0."""
    if shift > 62:  # all are less than half
        return np.zeros_like(codes)
    down, rest, half = codes >> shift, codes & ((1 << shift) - 1), 1 << (shift - 1)
    found: Codes = down + ((rest > half) | ((rest == half) & (down & 1 == 1)))
    return found


def _computed(step: Step, x: Codes, places: Pair) -> Codes:
    """places: (vertical, horizontal) where windows lie."""
    found: Codes
    match step:
        case Requantise():
            found = _requantised(step, x)
        case RequantiseEach():
            found = _requantised_each(step, x)
        case Linear():
            found = ((x @ step.weight.T) << step.shift) + step.bias
        case Convolution():
            found = (_convolved(step, seen_of(x, step.window, places, 0)) << step.shift) + step.bias[
                :, None, None
            ]
        case Scale():
            spread = (-1, *[1] * (x.ndim - 2))
            found = ((x * step.weight.reshape(spread)) << step.shift) + step.bias.reshape(spread)
        case Relu():
            found = np.maximum(x, 0)
        case MaxPool():
            found = seen_of(x, step.window, places, step.x.low).max(axis=(-2, -1))
        case Move() | Add():
            found = x
    return found


def _requantised(step: Requantise, x: Codes) -> Codes:
    low, high = step.fmt.codes
    if step.shift > 0:
        return rounded(x, step.shift).clip(low, high)
    least, most = unsaturated(step)
    inside = x.clip(least, most) << (-step.shift if least < most else 0)
    return np.where(x < least, low, np.where(x > most, high, inside))


def _requantised_each(step: RequantiseEach, x: Codes) -> Codes:
    parts = step.parts().spread(step.fmt.shape, x.shape[1:])
    down = parts.down
    kept, rest, half = x >> down, x & ((1 << down) - 1), (1 << down) >> 1
    up = (rest > half) | ((rest == half) & (kept & 1 == 1))
    found = kept + (up & (down > 0))
    inside = found.clip(parts.least, parts.most) << parts.up
    return np.where(found < parts.least, parts.low, np.where(found > parts.most, parts.high, inside))


def _convolved(step: Convolution, windows: Codes) -> Codes:
    """windows: [n, channels, y, x, h, w]."""
    outputs, inputs = step.weight.shape[:2]
    parts = []
    for group in range(step.groups):
        own = windows[:, group * inputs : (group + 1) * inputs]
        each = outputs // step.groups
        weight = step.weight[group * each : (group + 1) * each]
        parts.append(np.einsum("ncyxhw,ochw->noyx", own, weight))
    return np.concatenate(parts, axis=1)


def seen_of(x: Codes, window: Window, places: Pair, outside: int) -> Codes:
    """What a window sees at each place of x [n, channels, (height,) width]: [n, channels, y, x, h, w]."""
    image = x.reshape(len(x), *as_image(x.shape[1:]))
    after, extent = [], []
    for axis in (0, 1):
        wide = (window.size[axis] - 1) * window.dilation[axis] + 1
        end = (places[axis] - 1) * window.stride[axis] + wide
        after.append(max(end - window.before[axis] - image.shape[2 + axis], 0))
        extent.append(wide)
    margins = [(0, 0), (0, 0), *zip(window.before, after, strict=True)]
    seen = sliding_window_view(np.pad(image, margins, constant_values=outside), extent, axis=(2, 3))
    seen = seen[:, :, :: window.stride[0], :: window.stride[1]][:, :, : places[0], : places[1]]
    return seen[..., :: window.dilation[0], :: window.dilation[1]]
