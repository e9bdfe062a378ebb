"""From steps on integers to logic: alkaid's adder graphs, in which every weight is shifts and additions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from alkaid.trace import FVArray, FVArrayInput, trace  # type: ignore[import-untyped]
from alkaid.types import CombLogic  # type: ignore[import-untyped]
from numpy.typing import NDArray

from widthwise.core.arrays import IntArray
from widthwise.export.integers.computing import seen_of
from widthwise.export.integers.steps import (
    Add,
    Convolution,
    Linear,
    MaxPool,
    Program,
    Relu,
    Requantise,
    RequantiseEach,
    Scale,
    Step,
    Value,
    as_image,
    reads,
)
from widthwise.formats.integer import Integer
from widthwise.formats.integer_each import IntegerEach

OUTSIDE = -1  # the index of what lies outside an image


def logic_of(program: Program) -> CombLogic:
    """The network as one block of logic without a clock, its input as codes of `program.fmt`.

    Source: Sun et al. 2025, da4ml (arXiv 2507.04535), of which alkaid is the successor.
    """
    size, shape = program.size(program.input), program.shape(program.input)
    given = FVArrayInput((size,))
    wires: dict[Value, Any] = {program.input: _rounded(given.reshape(shape), program.fmt, "WRAP", "TRN")}
    for step in program.steps:
        wires[step.out] = step_logic(step, [wires[value] for value in reads(step)], program.shape(step.out))
    return trace(given, wires[program.output].ravel(), keep_dead_inputs=True)


def step_logic(step: Step, inputs: list[Any], shape: tuple[int, ...]) -> Any:
    """The wires of what a step gives, of a sample's shape, for those of its inputs."""
    if isinstance(step, Add):
        x, y = inputs
        return x + y if step.sign > 0 else x - y
    return _of_one(step, inputs[0], shape)


def _of_one(step: Step, x: Any, shape: tuple[int, ...]) -> Any:
    if isinstance(step, Requantise | RequantiseEach):
        x = _requantised(x, step.fmt)
    elif isinstance(step, Linear | Convolution | Scale):
        x = with_bias(step, products(step, x, shape), shape)
    elif isinstance(step, Relu):
        x = x.relu()
    elif isinstance(step, MaxPool):
        x = np.amax(_seen(x, step, shape), axis=-1)
    return x.reshape(shape)


def products(step: Linear | Convolution | Scale, x: Any, shape: tuple[int, ...]) -> Any:
    """The wires of a step's sums of products, before its bias, for those of its input; shape: of the step."""
    if isinstance(step, Linear):
        return x @ _values(step.weight.T, step)
    if isinstance(step, Convolution):
        return _convolved(step, x, shape)
    return x * _spread(_values(step.weight, step), shape)


def with_bias(step: Linear | Convolution | Scale, sums: Any, shape: tuple[int, ...]) -> Any:
    """What a step gives, of its shape, from its sums of products."""
    bias = _values(step.bias, step.out)
    if isinstance(step, Convolution):  # [places, outputs]
        return (sums + bias).transpose().reshape(shape)
    return sums + (_spread(bias, shape) if isinstance(step, Scale) else bias)


def weight_fraction(step: Linear | Convolution | Scale) -> int:
    """Bits behind the point of a step's weights."""
    return step.out.fraction - step.shift - step.x.fraction


def _spread(values: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """A number for each channel, to go with all of its places."""
    return values.reshape(-1, *[1] * (len(shape) - 1))


def _requantised(x: Any, fmt: Integer | IntegerEach) -> Any:
    """Wires rounded and saturated; those that are always the same number here, as alkaid 0.8 rounds these
    otherwise (27/128 in steps of 1/8 to 0)."""
    found = _rounded(x, fmt, "SAT", "RND_CONV")
    wires, ends = np.asarray(found).copy(), np.asarray(x)
    always = np.array([wire.low == wire.high for wire in ends.ravel()], dtype=bool).reshape(ends.shape)
    if not always.any():
        return found
    lows = torch.tensor([float(wire.low) for wire in ends.ravel()], dtype=torch.float64)
    wires[always] = fmt.quantize(lows.reshape(ends.shape)).numpy()[always]
    return FVArray(np.ascontiguousarray(wires), found.solver_options, found.hwconf)


def _rounded(x: Any, fmt: Integer | IntegerEach, overflow: str, rounding: str) -> Any:
    if isinstance(fmt, IntegerEach):
        widths, fractions = fmt.spread(x.shape)
        fractions = np.where(widths > 0, fractions, 0)
        signs = np.minimum(widths, int(fmt.signed))
        return x.quantize(signs, widths - signs - fractions, fractions, overflow, rounding)
    sign = int(fmt.signed)
    return x.quantize(sign, fmt.width - sign - fmt.fraction, fmt.fraction, overflow, rounding)


def _values(codes: IntArray, of: Value | Linear | Convolution | Scale) -> NDArray[np.float64]:
    """The numbers that codes stand for: those of a value, or the weights of a step."""
    fraction = of.fraction if isinstance(of, Value) else weight_fraction(of)
    return np.ldexp(codes.astype(np.float64), -fraction)


def _convolved(step: Convolution, x: Any, shape: tuple[int, ...]) -> Any:
    """[places, outputs]."""
    seen = _seen(x, step, shape)  # [places, inputs, window]
    weight = _values(step.weight, step)
    inputs, outputs = weight.shape[1], len(weight) // step.groups
    groups = []
    for group in range(step.groups):
        own = seen[:, group * inputs : (group + 1) * inputs].reshape(len(seen), -1)
        groups.append(own @ weight[group * outputs : (group + 1) * outputs].reshape(outputs, -1).T)
    return np.concatenate(groups, axis=1)


def _seen(x: Any, step: Convolution | MaxPool, shape: tuple[int, ...]) -> Any:
    """What the window sees at each place of an image: wires [places, channels, window].

    For a convolution what lies outside is 0; for the greatest of a window it is one of those inside once
    more. A pooling's channels are places.
    """
    image, (_, height, width) = as_image(x.shape), as_image(shape)
    order = np.arange(x.size).reshape(1, *image)
    index = seen_of(order, step.window, (height, width), OUTSIDE)[0]  # [channels, y, x, h, w]
    if isinstance(step, MaxPool):
        index = index.reshape(-1, 1, step.window.size[0] * step.window.size[1])
        index = np.where(index == OUTSIDE, index.max(axis=-1, keepdims=True), index)
    else:
        index = index.transpose(1, 2, 0, 3, 4).reshape(height * width, image[0], -1)
    seen = np.where(index == OUTSIDE, 0.0, np.asarray(x).ravel()[index])
    # alkaid turns numbers into wires in place, where the array's own memory is in order
    return FVArray(np.ascontiguousarray(seen), x.solver_options, x.hwconf)
