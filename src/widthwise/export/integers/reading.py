"""From a graph to steps on integers, or the reasons why there are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, fx

from widthwise.core.errors import UserError, said_once
from widthwise.export.integers.arguments import DOES_NOTHING, POOLS, SAME_ORDER
from widthwise.export.integers.layers import CAN, MOST_BITS, STEPS, RefusalError, add, is_known, unknown
from widthwise.export.integers.steps import (
    Add,
    Convolution,
    Linear,
    Move,
    Program,
    Requantise,
    RequantiseEach,
    Scale,
    Step,
    Value,
    reads,
)
from widthwise.formats.hull import hull_of
from widthwise.formats.integer import Integer
from widthwise.formats.integer_each import IntegerEach
from widthwise.network.exactness import FLOAT_BITS
from widthwise.network.quantized import reads_inside

if TYPE_CHECKING:
    from widthwise.formats.base import Format
    from widthwise.network.graph import Graph
    from widthwise.network.layer import Layer
    from widthwise.network.scheme import Scheme

SIZES = {"size", "shape", "getattr", "dim", "len"}
PASSED = {"relu"} | POOLS | SAME_ORDER | DOES_NOTHING  # what reads a number reads it as these's readers do
READ_BITS = 22  # of a format that reads a rounded number as it would the exact one


@dataclass(frozen=True, eq=False)
class Number:
    """What is no tensor: a size that was read of one."""


Fixed = Integer | IntegerEach
Read = Value | Number | None  # of a node; None: what can't be written


def read_program(graph: Graph) -> tuple[Program | None, list[str]]:
    """The steps of a network whose schemes are calibrated, or as "node: reason" all that has none.

    Shapes are not known yet: see `with_shapes`.
    """
    if graph.capture != "fx":
        return None, [f"the network runs as it is, so it has no graph to write ({graph.capture_error})"]
    reading = Reading({layer.name: layer for layer in graph.layers}, graph.schemes)
    for node in graph.fx_graph.nodes:
        reading.read(node)
    if reading.reasons or reading.ends is None:
        return None, reading.reasons or ["the network returns nothing"]
    given, fmt = reading.begins or (None, None)
    if given is None or fmt is None:
        return None, ["the network reads no input"]
    return Program(given, fmt, _needed(reading.steps, reading.ends), reading.ends), []


def program_of(graph: Graph, x: Tensor) -> Program:
    """The steps of a network with the shapes of samples like x [n, ...]; UserError where it has none."""
    program, reasons = read_program(graph)
    if program is None:
        raise UserError(said_once(reasons))
    return with_shapes(program, graph, x)


def _needed(steps: list[Step], output: Value) -> tuple[Step, ...]:
    """The steps that the output follows from."""
    needed, found = {output}, []
    for step in reversed(steps):
        if step.out in needed:
            needed.update(reads(step))
            found.append(step)
    return tuple(reversed(found))


def with_shapes(program: Program, graph: Graph, x: Tensor) -> Program:
    """The program with the shapes of samples like x [n, ...]; UserError where moves mix samples."""
    found: dict[str, tuple[int, ...]] = {}

    class Shapes(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            value = super().run_node(n)
            if isinstance(value, Tensor) and value.ndim:
                found[n.name] = tuple(value.shape)
            return value

    with torch.no_grad():
        Shapes(cast(fx.GraphModule, graph.model)).run(x)
    samples = len(x)
    for step in program.steps:
        shape = found[step.out.node]
        if shape[0] != samples:
            raise UserError(
                f"{step.out.node}: has shape {list(shape)} for {samples} samples; keep axis 0 theirs"
            )
        if isinstance(step, Add) and found[step.x.node] != found[step.y.node]:
            raise UserError(f"{step.out.node}: adds tensors of different shapes; give both the same shape")
    return replace(program, shapes={name: shape[1:] for name, shape in found.items()})


class Reading:
    """Nodes in their order to steps; what has none is noted and its readers are skipped."""

    def __init__(self, layers: Mapping[str, Layer], schemes: Mapping[str, Scheme]) -> None:
        self.layers = layers
        self.schemes = schemes
        self.values: dict[fx.Node, Read] = {}
        self.requantised: dict[tuple[Value, Fixed], Value] = {}
        self.steps: list[Step] = []
        self.reasons: list[str] = []
        self.begins: tuple[Value, Fixed] | None = None
        self.ends: Value | None = None

    def read(self, node: fx.Node) -> None:
        """Takes in the next node."""
        try:
            self.values[node] = self._read(node)
        except RefusalError as refusal:
            self.reasons.append(f"{node.name}: {refusal}")
            self.values[node] = None

    def _read(self, node: fx.Node) -> Read:
        if node.op == "placeholder":
            return self._input(node) if node.users else None
        if node.op == "output":
            self.ends = self._output(node)
            return None
        layer = self.layers.get(node.name)
        if layer is None:  # a stored tensor, or made of such
            return None
        before = [self.values[other] for other in node.all_input_nodes if other in self.values]
        if layer.type in SIZES or (before and all(isinstance(value, Number) for value in before)):
            return Number()
        data = [self.values[other] for other in _data(layer)]
        data = [value for value in data if not isinstance(value, Number)]
        if any(value is None for value in data):
            if any(_is_stored(other, self.layers) for other in _data(layer)):
                raise RefusalError(
                    "computes with a stored tensor; a layer's weights and biases alone can be written"
                )
            if not is_known(layer):
                raise RefusalError(unknown(layer.type))
            return None  # what it reads was refused already
        return self._step(layer, [cast(Value, value) for value in data])

    def _input(self, node: fx.Node) -> Value | Number:
        """The input as all its readers read it."""
        if self.begins is not None:
            raise RefusalError("is a second input; this form takes one")
        formats = set(_read_formats(node, self.layers, self.schemes))
        if not formats:
            return Number()  # its size alone is asked for
        if None in formats:
            raise RefusalError("is read in float; give the layer that reads it a fixed<...> data_in")
        if len(formats) > 1:
            listed = ", ".join(sorted(map(repr, formats)))
            raise RefusalError(f"is read in several formats ({listed}); give its readers one (share_inputs)")
        (fmt,) = formats
        assert fmt is not None
        fixed, hull = _fixed(fmt)
        value = Value(node.name, hull.fraction, *hull.codes)
        self.begins = (value, fixed)
        return value

    def _output(self, node: fx.Node) -> Value | None:
        (result,) = node.args
        while isinstance(result, list | tuple) and len(result) == 1:
            (result,) = result
        if not isinstance(result, fx.Node):
            raise RefusalError("the network returns several values; this form gives one tensor")
        value = self.values[result]
        if isinstance(value, Number):
            raise RefusalError("the network returns a size, not a tensor")
        if value is not None and not any(not isinstance(step, Move) for step in self.steps):
            raise RefusalError("the network computes nothing")
        return value

    def _step(self, layer: Layer, data: list[Value]) -> Value:
        kind, scheme = layer.type, self.schemes[layer.name]
        if scheme and reads_inside(kind, layer.module):
            raise RefusalError(
                f"formats inside a {kind} can't be written; leave it in float, or search another layer"
            )
        data = [self._as_read(x, scheme.data_in, layer) for x in data]
        if kind in DOES_NOTHING:
            return data[0]
        make = STEPS.get(kind)
        if make is None:
            raise RefusalError(unknown(kind))
        if len(data) != (2 if make is add else 1):
            raise RefusalError(f"{kind} of {len(data)} tensors can't be written; {CAN}")
        if scheme.data_in is None and kind not in ("relu", *POOLS, *SAME_ORDER):
            self._check_float(data)
        step = make(layer, scheme, data)
        sums = isinstance(step, Linear | Convolution | Scale)
        if sums and scheme.data_in is None and step.out.bits - 1 > FLOAT_BITS:
            raise RefusalError(
                f"its sums need {step.out.bits} bits, and were judged in float32 as data_in has no format; "
                "give it a fixed<...> one"
            )
        if step.out.bits > MOST_BITS:
            raise RefusalError(
                f"its sums need {step.out.bits} bits, at most {MOST_BITS} can be written; give its input or "
                "weights fewer bits, or its bias fewer behind the point"
            )
        self.steps.append(step)
        return step.out

    def _as_read(self, x: Value, fmt: Format | None, layer: Layer) -> Value:
        """x in the format in which a layer reads it."""
        if fmt is None:
            return x
        fixed, hull = _fixed(fmt)
        least, most = hull.codes
        whole = isinstance(fixed, Integer)
        if whole and x.fraction == hull.fraction and least <= x.low and x.high <= most:
            return x
        if x.bits - 1 > FLOAT_BITS and _widest(fixed) > READ_BITS:
            raise RefusalError(
                f"reads sums of {x.bits} bits as {fmt!r}, which float32 does not hold; give data_in at most "
                f"{READ_BITS} bits"
            )
        if (x, fixed) not in self.requantised:
            out = Value(x.node, hull.fraction, least, most)
            step = Requantise(out, x, fixed) if isinstance(fixed, Integer) else RequantiseEach(out, x, fixed)
            self.steps.append(step)
            self.requantised[x, fixed] = out
        return self.requantised[x, fixed]

    def _check_float(self, data: list[Value]) -> None:
        """Refuses what was judged in float32 on numbers that float32 does not hold."""
        for x in data:
            if x.bits - 1 > FLOAT_BITS:
                raise RefusalError(
                    f"reads sums of {x.bits} bits as they are, which float32 rounded when it was judged; "
                    "give its data_in a fixed<...> format"
                )


def _fixed(fmt: Format) -> tuple[Fixed, Integer]:
    """A format of what a layer reads, and the fixed point that holds its values; refuses others."""
    if not isinstance(fmt, Integer | IntegerEach):
        raise RefusalError(f"data_in {fmt!r} has no integer codes; give it a fixed<...> format")
    if (hull := hull_of(fmt)) is None:
        raise RefusalError(f"data_in {fmt!r} follows the data; calibrate it, or give its frac_width")
    return (hull if isinstance(fmt, IntegerEach) and fmt.is_one else fmt), hull


def _widest(fmt: Fixed) -> int:
    """Bits of its widest part."""
    return fmt.width if isinstance(fmt, Integer) else int(fmt.table[0].max())


def _read_formats(
    node: fx.Node, layers: Mapping[str, Layer], schemes: Mapping[str, Scheme]
) -> Iterator[Format | None]:
    """The formats in which the readers of an input read it; through a ReLU, a pooling or a move the same."""
    for user in node.users:
        layer = layers.get(user.name)
        if layer is None:  # the output
            yield None
        elif (fmt := schemes[layer.name].data_in) is not None:
            yield fmt
        elif layer.type in PASSED:
            yield from _read_formats(user, layers, schemes)
        elif layer.type not in SIZES:
            yield None


def _data(layer: Layer) -> list[fx.Node]:
    """The nodes that a layer computes with, its weights and biases left out."""
    node = layer.node
    stored = {operand.path for operand in layer.of if operand.role != "data_in"}
    found = [arg for at, arg in enumerate(node.args) if (at,) not in stored]
    found += [arg for name, arg in node.kwargs.items() if (name,) not in stored]
    return [arg for arg in found if isinstance(arg, fx.Node)]


def _is_stored(node: fx.Node, layers: Mapping[str, Layer]) -> bool:
    return node.op != "placeholder" and node.name not in layers
