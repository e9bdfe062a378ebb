"""Counting what one node of a network computes and stores, from its kind and the shapes around it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from widthwise.network.layers import ACTIVATIONS, QUANTISABLE, FunctionLayer, layer_type
from widthwise.network.operations import (
    ADAPTIVE,
    CONTRACTIONS,
    COUNTED_ELSEWHERE,
    ELEMENTWISE,
    EMBEDDINGS,
    FREE,
    NORMS,
    POOLS,
    PRODUCTS,
    REDUCTIONS,
    SOFTMAX,
    TRANSPOSED,
    WEIGHTED_SUMS,
)
from widthwise.network.quantized import Quantized, parameter_role

Shape = Sequence[int]
Operation = nn.Module | Callable[..., Any] | str


@dataclass(frozen=True)
class _Work:
    """Arithmetic of a whole batch."""

    macs: int = 0
    other: int = 0
    fan_in: int = 1
    known: bool = True


def node_cost(
    operation: Operation,
    inputs: Sequence[Shape],
    output: Shape,
    *,
    name: str = "",
    batch: int | None = None,
    equation: str = "",
) -> NodeCost:
    """What a module, function or method (by its name) computes for one sample, and what the module stores.

    `inputs` are the shapes of its tensor arguments, batch dimension included, in their order; `output` is
    that of its (first) result. `batch`: samples in them; None: the first input's first dimension.
    `equation`: an einsum's, which alone says what it sums.
    Conventions:

    - MACs: products that are summed, as in linear layers, convolutions (padding counts, as if it were data),
      attention (projections and both products) and matrix products; a transposed convolution has one for each
      input element and kernel element. 2 MACs are what torch.utils.flop_counter counts, to the unit.
    - Other arithmetic, in flops per element: 1 for each bias, activation (whatever its function),
      element-wise operation, pooled or reduced input; batch norm 2 (folded scale and shift), layer, group and
      instance norm 7 (mean 1, variance 3, normalising 1, scale and shift 2), RMS norm 4; softmax 3
      (exponential, sum, quotient). Moving data (reshaping, joining, embedding, dropout at inference) is free.
    - fan_in: the products that make one output; for a transposed convolution their mean, for attention its
      width.
    - An operation that is not known here has `counted` False and no arithmetic.
    """
    layer = _inner(operation)
    kind = layer_type(layer)
    samples = batch or (inputs[0][0] if inputs and inputs[0] else 1)
    work = _einsum(equation, inputs, output) if equation else _work(layer, kind, inputs, output)
    stored = _stored(layer, kind) if isinstance(layer, nn.Module) else {}
    return NodeCost(
        name=name,
        macs=_per_sample(work.macs, samples),
        other_flops=_per_sample(work.other, samples),
        fan_in=work.fan_in,
        outputs=_per_sample(math.prod(output), samples),
        averaged=kind not in NORMS and kind not in ELEMENTWISE,
        counted=work.known,
        **stored,
    )


def parameter_cost(tensor: Tensor, *, name: str = "") -> NodeCost:
    """What a parameter or buffer stores that the network's own code reads (a get_attr node)."""
    if isinstance(tensor, nn.Parameter):
        return NodeCost(name, other_parameters=tensor.numel(), averaged=False)
    return NodeCost(name, buffer_elements=tensor.numel(), averaged=False)


def _inner(operation: Operation) -> Operation:
    """What a wrapper of ours holds."""
    if isinstance(operation, Quantized):
        return _inner(operation.layer)
    if isinstance(operation, FunctionLayer):
        return operation.function
    return operation


def _per_sample(total: int, samples: int) -> int:
    """Rounded up: work that does not depend on the batch (a position embedding) is done at least once."""
    return -(-total // samples)


def _stored(layer: nn.Module, kind: str) -> dict[str, int]:
    """Elements of a module's parameters and persistent float buffers; a parameter used twice counts once."""
    sizes = {"weight": 0, "bias": 0}
    for name, parameter in layer.named_parameters():
        sizes[parameter_role(name)] += parameter.numel()
    persistent = layer.state_dict(keep_vars=True)
    buffers = (b for name, b in layer.named_buffers() if name in persistent and b.is_floating_point())
    stored = {"buffer_elements": sum(buffer.numel() for buffer in buffers)}
    if kind in QUANTISABLE or isinstance(layer, nn.MultiheadAttention):
        return stored | {"weight_elements": sizes["weight"], "bias_elements": sizes["bias"]}
    return stored | {"other_parameters": sum(sizes.values())}


def _work(layer: Operation, kind: str, inputs: Sequence[Shape], output: Shape) -> _Work:
    outputs = math.prod(output)
    read = math.prod(inputs[0]) if inputs else outputs
    simple: tuple[tuple[bool, int], ...] = (  # what is no MAC
        (kind in NORMS, NORMS.get(kind, 0) * read),
        (kind in SOFTMAX, 3 * outputs),
        (kind in ACTIVATIONS or kind in ELEMENTWISE, outputs),
        (kind in POOLS, outputs * _window(layer, inputs, output)),
        (kind in ADAPTIVE or kind in REDUCTIONS, read),
        (kind in FREE or kind in EMBEDDINGS or kind in COUNTED_ELSEWHERE, 0),
    )
    for applies, flops in simple:
        if applies:
            return _Work(other=flops)
    return _products(layer, kind, inputs, output)


def _products(layer: Operation, kind: str, inputs: Sequence[Shape], output: Shape) -> _Work:
    """Operations that sum products."""
    if isinstance(layer, nn.MultiheadAttention):
        return _attention(layer, inputs)
    if isinstance(layer, nn.RNNBase | nn.RNNCellBase):
        return _recurrent(layer, inputs[0]) if isinstance(layer, nn.RNNBase) else _cell(layer, inputs[0])
    if kind == "attention":
        return _dot_products(*inputs[:3])
    if kind in PRODUCTS | CONTRACTIONS:
        return (_matrix_product if kind in PRODUCTS else _contraction)(kind, inputs, output)
    if kind in WEIGHTED_SUMS:
        return _weighted_sums(layer, kind, inputs, output)
    return _Work(known=False)


def _weighted_sums(layer: Operation, kind: str, inputs: Sequence[Shape], output: Shape) -> _Work:
    """Linear layers and convolutions: a bias for each output, a product for each weight that reaches it."""
    weight, has_bias = _weight_and_bias(layer, inputs)
    if weight is None:
        return _Work(known=False)
    outputs = math.prod(output)
    if kind in TRANSPOSED:  # each input element meets the kernels of all outputs of its group
        macs = math.prod(inputs[0]) * math.prod(weight[1:])
        return _Work(macs, outputs * has_bias, max(1, -(-macs // max(1, outputs))))
    fan_in = math.prod(weight[1:])
    return _Work(outputs * fan_in, outputs * has_bias, fan_in)


def _weight_and_bias(layer: Operation, inputs: Sequence[Shape]) -> tuple[Shape | None, bool]:
    """Shape of the weight, and whether there is a bias: a module's own, or a function's (x, weight, bias)."""
    if isinstance(layer, nn.Module):
        weight = getattr(layer, "weight", None)
        return (tuple(weight.shape) if isinstance(weight, Tensor) else None), getattr(
            layer, "bias", None
        ) is not None
    return (inputs[1] if len(inputs) > 1 else None), len(inputs) > 2


def _matrix_product(kind: str, inputs: Sequence[Shape], output: Shape) -> _Work:
    """addmm and baddbmm have what they add as their first argument."""
    added = kind in ("addmm", "baddbmm")
    operands = inputs[1:] if added else inputs
    if not operands or not operands[0]:
        return _Work(known=False)
    fan_in, outputs = operands[0][-1], math.prod(output)
    return _Work(outputs * fan_in, outputs * added, fan_in)


def _contraction(kind: str, inputs: Sequence[Shape], output: Shape) -> _Work:
    """What is summed lacks in the output: for vecdot an axis of both, for tensordot axes of either."""
    outputs = math.prod(output)
    if kind == "vecdot":
        macs = math.prod(np.broadcast_shapes(*map(tuple, inputs[:2])))
        return _Work(macs, 0, macs // max(1, outputs))
    fan_in = math.isqrt(math.prod(inputs[0]) * math.prod(inputs[1]) // max(1, outputs))
    return _Work(outputs * fan_in, 0, fan_in)


def _einsum(equation: str, inputs: Sequence[Shape], output: Shape) -> _Work:
    """An output element sums a product for each value of the labels that it lacks; of two operands alone."""
    operands, _, result = equation.replace(" ", "").partition("->")
    terms = operands.split(",")
    if len(terms) != 2 or "->" not in equation:  # the order of products of more is torch's choice
        return _Work(known=False)
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, inputs, strict=True):
        before, _, after = term.partition("...")
        sizes |= zip(before, shape, strict=False)
        sizes |= zip(reversed(after), reversed(shape), strict=False)
    fan_in = math.prod(size for label, size in sizes.items() if label not in result)
    return _Work(math.prod(output) * fan_in, 0, fan_in)


def _dot_products(query: Shape, key: Shape, value: Shape) -> _Work:
    """Scores, softmax and weighted sums of queries [..., L, E], keys [..., S, E] and values [..., S, V]."""
    rows, keys = math.prod(query[:-1]), key[-2]
    return _Work(rows * keys * (query[-1] + value[-1]), 4 * rows * keys, query[-1])


def _attention(layer: nn.MultiheadAttention, inputs: Sequence[Shape]) -> _Work:
    """Three projections into the heads, both products of every head, the projection out of them."""
    query, key, value = inputs[:3] if len(inputs) > 2 else (inputs[0], inputs[-1], inputs[-1])
    rows, keys = math.prod(query[:-1]), math.prod(key[:-1])  # over the batch
    axis = 1 if layer.batch_first or len(key) == 2 else 0
    length = key[-2] if axis == 1 else key[0]
    width, biases = layer.embed_dim, int(layer.in_proj_bias is not None)
    projections = rows * width * query[-1] + keys * width * (key[-1] + value[-1]) + rows * width * width
    scores = rows * length * layer.num_heads
    other = biases * width * (2 * rows + 2 * keys) + 4 * scores  # scaling and softmax
    return _Work(projections + 2 * rows * length * width, other, width)


def _recurrent(layer: nn.RNNBase, sequence: Shape) -> _Work:
    """Each step multiplies with every weight matrix once; a flop for each bias and gate activation."""
    steps = math.prod(sequence[:-1])
    held = {name: getattr(layer, name) for name in layer._flat_weights_names}  # whatever makes them
    weights = [tensor for name, tensor in held.items() if name.startswith("weight")]
    biases = sum(tensor.numel() for name, tensor in held.items() if name.startswith("bias"))
    gates = sum(weight.shape[0] for weight in weights)
    return _Work(
        steps * sum(weight.numel() for weight in weights), steps * (biases + gates), layer.hidden_size
    )


def _cell(layer: nn.RNNCellBase, given: Shape) -> _Work:
    """One step of a recurrent layer."""
    samples, gates = math.prod(given[:-1]), layer.weight_ih.shape[0]
    biases = sum(p.numel() for name, p in layer.named_parameters() if name.startswith("bias"))
    weights = layer.weight_ih.numel() + layer.weight_hh.numel()
    return _Work(samples * weights, samples * (biases + 2 * gates), layer.hidden_size)


def _window(layer: Operation, inputs: Sequence[Shape], output: Shape) -> int:
    """Elements that a pooling reads for an output; a function's window is taken to tile its input."""
    spatial = len(output) - 2
    size = getattr(layer, "kernel_size", None) if isinstance(layer, nn.Module) else None
    if isinstance(size, int):
        return int(size**spatial)
    if isinstance(size, Sequence):
        return math.prod(size)
    return max(1, math.prod(inputs[0]) // max(1, math.prod(output))) if inputs else 1


@dataclass(frozen=True)
class NodeCost:
    """What one node of a network computes for one sample, and what it stores; see `counting.node_cost`."""

    name: str
    macs: int = 0  # multiply-accumulates
    other_flops: int = 0  # all other arithmetic: biases, norms, activations, pooling, element-wise sums
    fan_in: int = 1  # products that are summed into one output
    outputs: int = 0  # elements of the result
    weight_elements: int = 0
    bias_elements: int = 0
    other_parameters: int = 0  # neither weight nor bias, such as those of an LSTM; stored as 32-bit floats
    buffer_elements: int = 0  # stored but not trained, such as running means; 32-bit floats
    averaged: bool = True  # whether average_bitwidth counts the weight; not the scale vector of a norm
    counted: bool = True  # False: the arithmetic of this operation is not known and counts as none
