"""A network in fixed point as an ONNX graph that integer kernels run: bytes between QuantizeLinear nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from widthwise.export.in_bytes import BYTE, SIGNED, finer_bias, is_byte, room
from widthwise.export.integers.steps import (
    Add,
    Codes,
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
    as_image,
)

OPSET, IR = 19, 9
OUTPUT = "output"

Shape = tuple[int, ...]


@dataclass(frozen=True)
class _Bytes:
    """Codes in bytes, each plus `zero`; what is beyond low and high (codes) has still to be cut.

    shape: all axes but the first, which is what is left of a batch.
    """

    name: str
    shape: Shape
    zero: int
    low: int
    high: int


@dataclass(frozen=True)
class _Floats:
    """Numbers in floats."""

    name: str
    shape: Shape


def model_of(program: Program, name: str) -> ModelProto:
    """The ONNX graph of a program whose shapes are known and which `reasons` has nothing against.

    name: of its input, floats [n, ...]. Formats go through bytes, uint8 with a zero point: what ONNX Runtime
    multiplies fastest on x86. ReLU and narrower formats cut bytes (Clip) behind QuantizeLinear, so that this
    stands right behind the sums that it rounds and both are one kernel.
    """
    writer = _Writer(program)
    given = program.input
    low, high = program.input.low, program.input.high
    writer.held[given] = writer.quantised(_Floats(name, program.shape(given)), given.fraction, low, high)
    for step in program.steps:
        writer.held[step.out] = writer.step(step)
    gives = writer.floats(program.output)
    for node in writer.nodes:
        for names in (node.input, node.output):
            for place, each in enumerate(names):
                if each == gives:
                    names[place] = OUTPUT
    graph = helper.make_graph(
        writer.nodes,
        "network",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *program.shape(given)])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", *program.shape(program.output)])],
        list(writer.stored.values()),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)


class _Writer:
    """Nodes and stored tensors, step by step; `held` is where each value is."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.nodes: list[NodeProto] = []
        self.stored: dict[str, TensorProto] = {}
        self.held: dict[Value, _Bytes | _Floats] = {}
        self._made: dict[tuple[Any, ...], str] = {}

    def step(self, step: Step) -> _Bytes | _Floats:
        """Where the value of a step is."""
        found: _Bytes | _Floats
        match step:
            case Requantise():
                x = self._as_floats(self.held[step.x], step.x)
                found = self.quantised(x, step.out.fraction, *step.fmt.codes)
            case Linear() | Convolution():
                found = self._product(step)
            case Scale():
                found = self._scaled(step)
            case Relu():
                found = self._relu(step)
            case MaxPool():
                found = self._pooled(step)
            case Move():
                found = self.held[step.x]
            case Add():
                kind = "Add" if step.sign > 0 else "Sub"
                name = self._node(kind, [self.floats(step.x), self.floats(step.y)])
                found = _Floats(name, self.program.shape(step.out))
        return found

    def quantised(self, x: _Floats, fraction: int, low: int, high: int) -> _Bytes:
        """Codes from low to high of numbers, rounded; a byte saturates by itself."""
        zero = 0 if low >= 0 else SIGNED
        name = self._node("QuantizeLinear", [x.name, *self._scale(fraction, zero)])
        return _Bytes(name, x.shape, zero, low, high)

    def floats(self, value: Value) -> str:
        """The name of the numbers of a value, in its shape."""
        shape = self.program.shape(value)
        found = self._as_floats(self.held[value], value)
        return self._shaped(found.name, found.shape, shape)

    def _as_floats(self, held: _Bytes | _Floats, value: Value) -> _Floats:
        if isinstance(held, _Floats):
            return held
        name = self._node("DequantizeLinear", [self._cut(held), *self._scale(value.fraction, held.zero)])
        return _Floats(name, held.shape)

    def _cut(self, x: _Bytes) -> str:
        """The bytes with nothing beyond their ends."""
        least, most = x.low + x.zero, x.high + x.zero
        if least <= 0 and most >= BYTE:
            return x.name
        ends = [self._constant(np.uint8(max(least, 0))), self._constant(np.uint8(min(most, BYTE)))]
        return self._node("Clip", [x.name, *ends])

    def _shaped(self, name: str, has: Shape, wants: Shape) -> str:
        if has == wants:
            return name
        return self._node("Reshape", [name, self._constant(np.array([-1, *wants], dtype=np.int64))])

    def _product(self, step: Linear | Convolution) -> _Floats:
        flat = isinstance(step, Linear)
        x, in_bytes = self._factor(step.x, flat=flat)
        fraction = step.out.fraction - step.shift - step.x.fraction
        weight = step.weight if flat or len(self.program.shape(step.x)) > 2 else step.weight[:, :, 0]
        more = min(room(step.weight), step.shift)
        inputs = [x, self._weight(weight << more, fraction + more, in_bytes=in_bytes)]
        fits = not finer_bias(step.weight, step.shift)
        if fits and step.bias.any():
            inputs.append(self._bias(step.bias, step.out.fraction, in_bytes=in_bytes))
        if isinstance(step, Linear):
            name, shape = self._node("Gemm", inputs, transB=1), self.program.shape(step.out)[-1:]
        else:
            shape = self.program.shape(step.out)
            name = self._node(
                "Conv", inputs, group=step.groups, **self._window(step.window, step.x, step.out)
            )
        if not fits:
            spread = step.bias.reshape(-1, *[1] * (0 if flat else len(self.program.shape(step.out)) - 1))
            name = self._node("Add", [name, self._new(_numbers(spread, step.out.fraction))])
        return _Floats(name, shape)

    def _factor(self, value: Value, *, flat: bool) -> tuple[str, bool]:
        """The name of what a layer multiplies by its weights, and whether it comes right from bytes.

        flat: as rows [n, inputs].
        """
        held = self.held[value]
        if isinstance(held, _Floats) and is_byte(value.low, value.high):
            held = self.quantised(held, value.fraction, value.low, value.high)
        shape = self.program.shape(value)
        wants = shape[-1:] if flat else shape
        if isinstance(held, _Floats):
            return self._shaped(held.name, held.shape, wants), False
        name = self._shaped(self._cut(held), held.shape, wants)
        return self._node("DequantizeLinear", [name, *self._scale(value.fraction, held.zero)]), True

    def _weight(self, codes: Codes, fraction: int, *, in_bytes: bool) -> str:
        if not in_bytes:
            return self._constant(_numbers(codes, fraction))
        return self._stored(codes.astype(np.int8), fraction)

    def _bias(self, codes: Codes, fraction: int, *, in_bytes: bool) -> str:
        if not in_bytes:
            return self._constant(_numbers(codes, fraction))
        return self._stored(codes.astype(np.int32), fraction)

    def _stored(self, codes: NDArray[Any], fraction: int) -> str:
        """Stored codes as numbers, with a scale and a zero point of their own.

        ONNX Runtime turns weights into unsigned bytes for some processors, and fails where two of them share
        these tensors.
        """
        parts = (codes, np.float32(2.0**-fraction), codes.dtype.type(0))
        return self._node("DequantizeLinear", [self._new(np.asarray(part)) for part in parts])

    def _scaled(self, step: Scale) -> _Floats:
        shape = self.program.shape(step.out)
        spread = (-1, *[1] * (len(shape) - 1))
        fraction = step.out.fraction - step.shift - step.x.fraction
        by = self._new(_numbers(step.weight, fraction).reshape(spread))
        name = self._node("Mul", [self.floats(step.x), by])
        if step.bias.any():
            name = self._node(
                "Add", [name, self._new(_numbers(step.bias, step.out.fraction).reshape(spread))]
            )
        return _Floats(name, shape)

    def _relu(self, step: Relu) -> _Bytes | _Floats:
        held = self.held[step.x]
        if isinstance(held, _Bytes):
            return replace(held, low=max(held.low, 0), high=max(held.high, 0))
        return _Floats(self._node("Relu", [held.name]), held.shape)

    def _pooled(self, step: MaxPool) -> _Bytes | _Floats:
        held, shape = self.held[step.x], self.program.shape(step.out)
        name = self._shaped(held.name, held.shape, self.program.shape(step.x))
        window = self._window(step.window, step.x, step.out)
        return replace(held, name=self._node("MaxPool", [name], **window), shape=shape)

    def _window(self, window: Window, x: Value, out: Value) -> dict[str, list[int]]:
        """The attributes of a window, as many margins behind the image as its last place needs."""
        image, places = as_image(self.program.shape(x))[1:], as_image(self.program.shape(out))[1:]
        axes = (0, 1) if len(self.program.shape(x)) > 2 else (1,)
        extents = [(window.size[axis] - 1) * window.dilation[axis] + 1 for axis in (0, 1)]
        ends = [(places[axis] - 1) * window.stride[axis] + extents[axis] for axis in (0, 1)]
        after = [max(ends[axis] - window.before[axis] - image[axis], 0) for axis in (0, 1)]
        return {
            "kernel_shape": [window.size[axis] for axis in axes],
            "strides": [window.stride[axis] for axis in axes],
            "dilations": [window.dilation[axis] for axis in axes],
            "pads": [window.before[axis] for axis in axes] + [after[axis] for axis in axes],
        }

    def _scale(self, fraction: int, zero: int) -> list[str]:
        return [self._constant(np.float32(2.0**-fraction)), self._constant(np.uint8(zero))]

    def _constant(self, values: NDArray[Any] | np.generic) -> str:
        array = np.asarray(values)
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._made:
            self._made[key] = self._new(array)
        return self._made[key]

    def _new(self, array: NDArray[Any]) -> str:
        name = f"stored_{len(self.stored)}"
        self.stored[name] = numpy_helper.from_array(array, name)
        return name

    def _node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        key = (kind, tuple(inputs), repr(sorted(attributes.items())))
        if key not in self._made:
            name = f"{kind}_{len(self.nodes)}"
            self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
            self._made[key] = name
        return self._made[key]


def _numbers(codes: Codes, fraction: int) -> NDArray[np.float32]:
    return np.ldexp(codes.astype(np.float64), -fraction).astype(np.float32)
