"""Layers as steps on integers, a function a kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from widthwise.export.integers.arguments import DOES_NOTHING, POOLS, SAME_ORDER, arguments, pair
from widthwise.export.integers.steps import (
    Add,
    Codes,
    Convolution,
    Linear,
    MaxPool,
    Move,
    Relu,
    Scale,
    Step,
    Value,
    Window,
)
from widthwise.network.exactness import FLOAT_BITS, NORMS, TABLE_BITS, RowSums, codes_of, is_scale

if TYPE_CHECKING:
    from widthwise.network.layer import Layer
    from widthwise.network.scheme import Scheme, TensorName

FOLDING = "fold_batchnorm = true in search_space.setup"
MOST_BITS = 63  # of a sum
CAN = "linear, conv1d, conv2d, relu, max_pool1d, max_pool2d, add, sub, flatten and reshape can be written"


class RefusalError(Exception):
    """Why a node has no step."""


def unknown(kind: str) -> str:
    """Why a kind of layer has no step."""
    if kind in NORMS:
        return f"{kind} computes with statistics in float; {FOLDING} writes them into weights"
    if kind in ("cat", "concat"):
        return f"{kind} can't be written; add tensors in place of joining them"
    return f"{kind} can't be written; {CAN}"


def is_known(layer: Layer) -> bool:
    """Whether layers of its kind have a step, whatever their formats."""
    if layer.type in NORMS:
        return layer.module is not None and is_scale(layer.module)
    return layer.type in STEPS.keys() | DOES_NOTHING


def _stored(layer: Layer, scheme: Scheme, tensor: TensorName) -> tuple[Codes, int] | None:
    """The codes of a weight or bias and their fraction; None where the layer has none."""
    if not (stored := layer.stored.get(tensor)):
        return None
    fmt = scheme[tensor]
    if fmt is None:
        raise RefusalError(f"its {tensor} is in float; give it a format, as fixed<8,6>")
    values = fmt.calibrated(stored[0].value).quantize(stored[0].value)
    if (found := codes_of(fmt, values)) is None:
        raise RefusalError(
            f"{tensor} {fmt!r} has values that are no whole multiples of a power of two of at most "
            f"{TABLE_BITS} bits; a fixed<...> format has"
        )
    return found


def _weighted(layer: Layer, scheme: Scheme, x: Value, outputs: Callable[[Codes], int]) -> tuple[Any, ...]:
    """(out, weight, bias, shift) of what multiplies by weights and adds a bias; outputs: bias elements."""
    found = _stored(layer, scheme, "weight")
    if found is None:
        raise RefusalError("has no weight")
    weight, weight_fraction = found
    fraction = x.fraction + weight_fraction
    bias, bias_fraction = _stored(layer, scheme, "bias") or (
        np.zeros(outputs(weight), dtype=np.int64),
        fraction,
    )
    finest = max(fraction, bias_fraction)
    shift, aligned = finest - fraction, finest - bias_fraction
    if max(shift, aligned + int(np.abs(bias).max(initial=0)).bit_length()) > MOST_BITS:
        raise RefusalError(
            f"weights and bias lie {max(shift, aligned)} bits apart; bring their frac widths nearer"
        )
    low, high = RowSums.of(weight, weight_fraction).range((x.low, x.high), x.fraction, bias, bias_fraction)
    bias = bias << aligned
    return Value(layer.name, finest, low, high), weight, bias, shift


def _linear(layer: Layer, scheme: Scheme, data: list[Value]) -> Step:
    out, weight, bias, shift = _weighted(layer, scheme, data[0], len)
    return Linear(out, data[0], weight, bias, shift)


def _convolution(layer: Layer, scheme: Scheme, data: list[Value]) -> Step:
    given, flat = arguments(layer), layer.type.endswith("1d")
    if given.get("padding_mode", "zeros") != "zeros":
        raise RefusalError(f"pads with {given['padding_mode']}; zeros can be written")
    out, weight, bias, shift = _weighted(layer, scheme, data[0], len)
    if weight.ndim == 3:  # of signals
        weight = weight[:, :, None, :]
    size, dilation = (weight.shape[2], weight.shape[3]), pair(given["dilation"], 1, flat=flat)
    before = given["padding"]
    if before == "same":
        before = tuple(d * (k - 1) // 2 for d, k in zip(dilation, size, strict=True))
    elif before == "valid":
        before = 0
    window = Window(size, pair(given["stride"], 1, flat=flat), pair(before, 0, flat=flat), dilation)
    return Convolution(out, data[0], weight, bias, shift, window, given["groups"])


def _scale(layer: Layer, scheme: Scheme, data: list[Value]) -> Step:
    """A batch norm that only multiplies and adds, as `fold_batchnorm_transform_pass` leaves it."""
    if layer.module is None or not is_scale(layer.module):
        raise RefusalError(unknown(layer.type))
    out, weight, bias, shift = _weighted(layer, scheme, data[0], len)
    return Scale(out, data[0], weight, bias, shift)


def _relu(layer: Layer, scheme: Scheme, data: list[Value]) -> Step:
    (x,) = data
    return Relu(Value(layer.name, x.fraction, max(x.low, 0), max(x.high, 0)), x)


def _max_pool(layer: Layer, scheme: Scheme, data: list[Value]) -> Step:
    (x,), given, flat = data, arguments(layer), layer.type.endswith("1d")
    size = pair(given["kernel_size"], 1, flat=flat)
    stride = size if given["stride"] in (None, ()) else pair(given["stride"], 1, flat=flat)
    before, dilation = pair(given["padding"], 0, flat=flat), pair(given["dilation"], 1, flat=flat)
    window = Window(size, stride, before, dilation)
    if given.get("return_indices"):
        raise RefusalError("gives indices too; leave return_indices out")
    return MaxPool(Value(layer.name, x.fraction, x.low, x.high), x, window)


def add(layer: Layer, scheme: Scheme, data: list[Value]) -> Step:
    """A sum or difference of two tensors."""
    x, y = data
    if layer.node.kwargs or len(layer.node.args) != 2:
        raise RefusalError("adds with a factor (alpha); multiply by a weight in place of it")
    sign = -1 if layer.type == "sub" else 1
    finest = max(x.fraction, y.fraction)
    shifts = (finest - x.fraction, finest - y.fraction)
    if max(shifts) > MOST_BITS:
        raise RefusalError(f"what it adds lies {max(shifts)} bits apart; give its data_in a format")
    ends = sorted((sign * y.low << shifts[1], sign * y.high << shifts[1]))
    low, high = (x.low << shifts[0]) + ends[0], (x.high << shifts[0]) + ends[1]
    out = Value(layer.name, finest, low, high)
    if out.bits - 1 > FLOAT_BITS:
        raise RefusalError(
            f"its sums need {out.bits} bits, which float32 does not hold; give its data_in fewer bits"
        )
    return Add(out, x, y, shifts, sign)


def _move(layer: Layer, scheme: Scheme, data: list[Value]) -> Step:
    (x,) = data
    return Move(Value(layer.name, x.fraction, x.low, x.high), x)


STEPS: dict[str, Callable[[Layer, Scheme, list[Value]], Step]] = {
    "linear": _linear,
    "relu": _relu,
    "add": add,
    "sub": add,
    **dict.fromkeys(("conv1d", "conv2d"), _convolution),
    **dict.fromkeys(("batch_norm1d", "batch_norm2d"), _scale),
    **dict.fromkeys(sorted(POOLS), _max_pool),
    **dict.fromkeys(sorted(SAME_ORDER), _move),
}
