"""A program of integers as the layers of hls4ml: a torch network that it reads, and every type by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import fx, nn

from widthwise.core.errors import UserError
from widthwise.export.integers.layers import FOLDING
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
    RequantiseEach,
    Scale,
    Step,
    Value,
    as_image,
    reads,
)
from widthwise.formats.integer_each import IntegerEach

BY_PART = (
    "each channel is read in a width of its own, and hls4ml has one type for a tensor; train with "
    'data = "tensor", or write verilog, vhdl or c'
)
Types = dict[str, str]  # what a type is of ("result", "weight") -> how HLS writes it


@dataclass(frozen=True)
class HlsLayer:
    """One layer: the steps that it computes, what it makes, and its types."""

    name: str
    step: Step
    out: Value
    types: Types


def refusals(program: Program) -> list[str]:
    """What hls4ml has no layer for, or computes otherwise, as "node: reason"."""
    read = [program.input] if isinstance(program.fmt, IntegerEach) else []
    read += [step.out for step in program.steps if isinstance(step, RequantiseEach)]
    if read:
        return [f"{', '.join(value.node for value in read)}: {BY_PART}"]
    return [f"{step.out.node}: {reason}" for step in program.steps if (reason := _reason(program, step))]


def layers_of(program: Program) -> list[HlsLayer]:
    """The layers in their order; formats are the types of what makes the numbers that they round."""
    made: list[HlsLayer] = []
    merged: set[Step] = set()
    for step in program.steps:
        if step in merged:
            continue
        out = step.out
        then = _format_of(program, out)
        if then is not None:
            merged.add(then)
            out = then.out
        made.append(HlsLayer(_name(step, made), step, out, _types(step, out)))
    return made


def _name(step: Step, before: list[HlsLayer]) -> str:
    """As the network has it; hls4ml traces anew, which names sums add, add_1 … in their order."""
    if not isinstance(step, Add):
        return f"layer_{step.out.node}_{len(before)}"
    kind = "sub" if step.sign < 0 else "add"
    same = sum(isinstance(layer.step, Add) and layer.step.sign == step.sign for layer in before)
    return f"{kind}_{same}" if same else kind


def fixed(value: Value, *, rounds: bool) -> str:
    """The type of a value: as wide as its codes; rounds: to the nearest, halves to even, saturating."""
    signed = value.low < 0
    bits = value.bits if signed else max(value.bits - 1, 1)
    kind = "ap_fixed" if signed else "ap_ufixed"
    return f"{kind}<{bits},{bits - value.fraction}{',AP_RND_CONV,AP_SAT' if rounds else ''}>"


def network_of(program: Program, layers: list[HlsLayer]) -> nn.Module:
    """A torch network of the layers, by their names, with the values of weights and biases."""
    graph, modules = fx.Graph(), nn.ModuleDict()
    nodes: dict[Value, fx.Node] = {program.input: graph.placeholder("x")}
    for layer in layers:
        given = [nodes[value] for value in reads(layer.step)]
        module = _module(program, layer.step)
        if module is None:
            kind = torch.sub if isinstance(layer.step, Add) and layer.step.sign < 0 else torch.add
            node = graph.create_node("call_function", kind, tuple(given), name=layer.name)
        else:
            modules[layer.name] = module
            node = graph.create_node("call_module", layer.name, tuple(given), name=layer.name)
        nodes[layer.out] = node
    graph.output(nodes[program.output])
    return fx.GraphModule(modules, graph).eval()


def _format_of(program: Program, value: Value) -> Requantise | None:
    """The format in which all that read a value read it."""
    readers = program.readers(value)
    if len(readers) == 1 and isinstance(readers[0], Requantise) and value is not program.output:
        return readers[0]
    return None


def _reason(program: Program, step: Step) -> str:
    """Why a step can't be written; "" where it can."""
    reason = ""
    match step:
        case Requantise() if program.readers(step.x) != [step] or step.x is program.output:
            reason = "has readers of several formats; share_inputs gives them one, as hls4ml has for a tensor"
        case Requantise() if step.x is program.input:
            reason = "rounds the input once more; give its readers one format"
        case Convolution() if step.groups > 1 or step.window.dilation != (1, 1):
            reason = "convolutions in groups or dilated can't be written; use one group, dilation 1"
        case MaxPool() if step.window.before != (0, 0) or step.window.dilation != (1, 1):
            reason = "maximum pooling with padding or dilation can't be written; leave them out"
        case Scale() if any(isinstance(s, Linear | Convolution) and s.out is step.x for s in program.steps):
            reason = f"is merged with the layer before it by hls4ml; {FOLDING} does so before the search"
        case _:
            pass
    return reason


def check_shapes(program: Program) -> None:
    """Raises UserError for shapes that hls4ml has no layer for."""
    for step in program.steps:
        shape, given = program.shape(step.out), program.shape(step.x)
        if isinstance(step, Move) and len(shape) != 1:
            raise UserError(f"{step.out.node}: gives {list(shape)}; hls4ml can be given flat tensors alone")
        if isinstance(step, Linear) and len(given) != 1:
            raise UserError(f"{step.out.node}: is a linear layer of {list(given)}; flatten its input")
        if isinstance(step, MaxPool):
            window, images = step.window, (as_image(given)[1:], as_image(shape)[1:])
            floors = [(n - k) // s + 1 for n, k, s in zip(images[0], window.size, window.stride, strict=True)]
            if list(images[1]) != floors:
                raise UserError(f"{step.out.node}: rounds its size up (ceil_mode); leave that out")


def _types(step: Step, out: Value) -> Types:
    rounded = fixed(out, rounds=out is not step.out)
    if isinstance(step, Linear | Convolution | Scale):
        name = "scale" if isinstance(step, Scale) else "weight"
        weight, bias = tables_of(step)
        own = {name: fixed(weight, rounds=False), "bias": fixed(bias, rounds=False)}
        return {**own, "accum": fixed(step.out, rounds=False), "result": rounded}
    if isinstance(step, MaxPool | Add):
        return {"accum": fixed(step.out, rounds=False), "result": rounded}
    return {"result": rounded}


def tables_of(step: Linear | Convolution | Scale) -> tuple[Value, Value]:
    """What stands for all weights and all biases: as narrow as they are."""
    return (
        _table(step.weight, step.out.fraction - step.x.fraction - step.shift),
        _table(step.bias, step.out.fraction),
    )


def _table(codes: Codes, fraction: int) -> Value:
    low, high = int(codes.min(initial=0)), int(codes.max(initial=0))
    both = int(np.bitwise_or.reduce(np.abs(codes), axis=None))
    zeros = (both & -both).bit_length() - 1 if both else 0
    return Value("", fraction - zeros, min(low >> zeros, -1), high >> zeros)


def _module(program: Program, step: Step) -> nn.Module | None:
    """The torch layer of a step; None for a sum of two tensors, which is a function."""
    made: nn.Linear | nn.Conv1d | nn.Conv2d | nn.BatchNorm1d | nn.BatchNorm2d
    match step:
        case Linear():
            made = nn.Linear(step.weight.shape[1], step.weight.shape[0])
        case Convolution():
            made = _convolution(program, step)
        case Scale():
            flat = len(program.shape(step.x)) < 3
            made = (nn.BatchNorm1d if flat else nn.BatchNorm2d)(len(step.weight), eps=0.0)
        case Relu():
            return nn.ReLU()
        case MaxPool():
            return _max_pool(program, step)
        case Move():
            return nn.Flatten()
        case _:
            return None
    signals = isinstance(made, nn.Conv1d)
    weight = step.weight[:, :, 0] if signals else step.weight
    made.weight.data = _values(weight, step.out.fraction - step.x.fraction - step.shift)
    assert made.bias is not None
    made.bias.data = _values(step.bias, step.out.fraction)
    return made


def _convolution(program: Program, step: Convolution) -> nn.Conv1d | nn.Conv2d:
    outputs, inputs = step.weight.shape[:2]
    window = step.window
    if len(program.shape(step.x)) == 2:
        return nn.Conv1d(inputs, outputs, window.size[1], window.stride[1], window.before[1])
    return nn.Conv2d(inputs, outputs, window.size, window.stride, window.before)


def _max_pool(program: Program, step: MaxPool) -> nn.Module:
    if len(program.shape(step.x)) == 2:
        return nn.MaxPool1d(step.window.size[1], step.window.stride[1])
    return nn.MaxPool2d(step.window.size, step.window.stride)


def _values(codes: Codes, fraction: int) -> torch.Tensor:
    return torch.from_numpy(np.ldexp(codes.astype(np.float64), -fraction)).float()
