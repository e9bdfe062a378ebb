"""Whether a network in fixed point can be computed from bytes, by kernels that multiply these."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from widthwise.export.integers.steps import (
    Codes,
    Convolution,
    Linear,
    Program,
    RequantiseEach,
    Scale,
)
from widthwise.formats.integer import Integer
from widthwise.formats.integer_each import IntegerEach
from widthwise.network.exactness import FLOAT_BITS

if TYPE_CHECKING:
    from widthwise.network.graph import Graph

BYTE = 255
SIGNED = 128  # what stands for 0 in a byte of numbers below zero too
WEIGHT = (-128, 127)
SAFE_WEIGHT = 64  # the products of two bytes with such weights add up to 16 bits
MOST_FRACTION = 40  # scales, and what one is times another, stay far from the ends of a float32
OTHERS = "--to c and hls4ml write it"


def is_byte(low: int, high: int) -> bool:
    """Whether all codes fit a byte, signed or not."""
    return WEIGHT[0] <= low <= high <= WEIGHT[1] or 0 <= low <= high <= BYTE


def reasons(graph: Graph, program: Program) -> list[str]:
    """Why the network can't be written so, as "node: reason": formats of more than 8 bits, wide sums."""
    schemes = graph.schemes
    found = [
        f"{layer.name}: data_in {fmt!r} has {fmt.width} bits, integer kernels take 8; give it at most 8, or "
        f"{OTHERS}"
        for layer in graph.layers
        if isinstance(fmt := schemes[layer.name].data_in, Integer) and fmt.width > 8
    ]
    read = [program.input] if isinstance(program.fmt, IntegerEach) else []
    read += [step.out for step in program.steps if isinstance(step, RequantiseEach)]
    if read:
        found.append(
            f"{', '.join(value.node for value in read)}: each channel is read in a width of its own, integer "
            'kernels have one for a tensor; train with data = "tensor", or write verilog, vhdl or c'
        )
    for step in program.steps:
        if isinstance(step, Linear | Convolution) and not _are_weights(step.weight):
            fmt = schemes[step.out.node].weight
            found.append(
                f"{step.out.node}: weight {fmt!r} has codes beyond {WEIGHT[0]} to {WEIGHT[1]}, "
                f"integer kernels take signed bytes; give it a signed format of at most 8 bits, or {OTHERS}"
            )
        if isinstance(step, Linear | Convolution | Scale) and step.out.bits - 1 > FLOAT_BITS:
            found.append(
                f"{step.out.node}: its sums need {step.out.bits} bits, which ONNX Runtime rounds in float32; "
                f"give its input, weights or bias fewer bits, or {OTHERS}"
            )
        if abs(step.out.fraction) > MOST_FRACTION:
            found.append(
                f"{step.out.node}: its steps are 2^{-step.out.fraction}, a scale is from "
                f"2^-{MOST_FRACTION} to 2^{MOST_FRACTION}; bring its frac widths nearer to 0"
            )
    return list(dict.fromkeys(found))


def room(weight: Codes) -> int:
    """How many more bits behind the point weights can be given and stay safe (SAFE_WEIGHT)."""
    most = int(np.abs(weight).max(initial=0))
    return max((SAFE_WEIGHT // most).bit_length() - 1, 0) if most else SAFE_WEIGHT.bit_length() - 1


def finer_bias(weight: Codes, shift: int) -> bool:
    """Whether a bias is no whole number of the products' steps, whatever room the weights have."""
    return room(weight) < shift


def weighted(program: Program) -> int:
    """How many layers have weights."""
    return sum(isinstance(step, Linear | Convolution | Scale) for step in program.steps)


def weights_need_vnni(program: Program) -> bool:
    """Whether products of weights could be cut to 16 bits by x86 processors without VNNI."""
    sums = [step for step in program.steps if isinstance(step, Linear | Convolution)]
    return any(int(np.abs(step.weight).max(initial=0)) > SAFE_WEIGHT for step in sums)


def _are_weights(codes: Codes) -> bool:
    return bool(((codes >= WEIGHT[0]) & (codes <= WEIGHT[1])).all())
