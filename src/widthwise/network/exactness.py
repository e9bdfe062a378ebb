"""Sums of fixed point that float32 can't hold: how many bits they take, and computing them exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from widthwise.formats.base import Format
from widthwise.formats.grid import WIDEST, on_grid
from widthwise.formats.hull import hull_of, is_fixed_point
from widthwise.network.holding import called_with, is_jit_tracing
from widthwise.network.layers import layer_type
from widthwise.network.operations import CONVOLUTIONS
from widthwise.network.scheme import Scheme

Codes = NDArray[np.int64]
Ends = tuple[int, int]  # the least and the greatest
FLOAT_BITS = 24  # of a whole number that float32 holds, its sign left out
TABLE_BITS = 16
NORMS = {"batch_norm1d", "batch_norm2d", "batch_norm3d"}
SUMS = {"linear"} | CONVOLUTIONS | NORMS  # of products with weights [outputs, ...]


@dataclass(frozen=True)
class RowSums:
    """Of the weights [outputs, ...] of a layer, for each output: the sums of those above and below zero.

    They are codes, whole numbers of Python, which have no end; fraction: bits behind their point.
    """

    above: tuple[int, ...]
    below: tuple[int, ...]
    fraction: int

    @classmethod
    def of(cls, codes: Codes, fraction: int) -> RowSums:
        """Of codes [outputs, ...]."""
        rows = codes.reshape(len(codes), -1)
        above, below = np.maximum(rows, 0).sum(axis=1), np.minimum(rows, 0).sum(axis=1)
        return cls(tuple(above.tolist()), tuple(below.tolist()), fraction)

    def range(self, codes: Ends, fraction: int, bias: Codes, bias_fraction: int) -> Ends:
        """The least and the greatest that sums can be, their parts in any order included, in their own steps.

        codes, fraction: the least and the greatest input. bias: codes [outputs] or [1].
        """
        finest = max(fraction + self.fraction, bias_fraction)
        shift, aligned = finest - fraction - self.fraction, finest - bias_fraction
        least, most = min(codes[0], 0), max(codes[1], 0)
        biases = np.broadcast_to(bias, len(self.above)).tolist()
        rows = list(zip(self.above, self.below, biases, strict=True))
        low = min(((a * least + b * most) << shift) + (min(c, 0) << aligned) for a, b, c in rows)
        high = max(((a * most + b * least) << shift) + (max(c, 0) << aligned) for a, b, c in rows)
        return low, high


def codes_of(fmt: Format | None, values: Tensor) -> tuple[Codes, int] | None:
    """(codes, fraction) of what a format made; None where it is no fixed point: floats, scales of any size.

    Of formats but fixed point it is where codes take up to TABLE_BITS: binary, ternary, most minifloats.
    """
    if fmt is None or (found := on_grid(values)) is None:
        return None
    narrow = int(np.abs(found[0]).max(initial=0)) >> TABLE_BITS == 0
    return found if narrow or is_fixed_point(fmt) else None


def row_sums(fmt: Format | None, weight: Tensor) -> RowSums | None:
    """Of a weight [outputs, ...] that a format made; None where it is no fixed point."""
    hull = hull_of(fmt)
    if hull is not None and hull.width + int(weight[0].numel()).bit_length() <= WIDEST:
        codes = weight.detach().double().reshape(len(weight), -1) * 2.0**hull.fraction
        above, below = codes.clamp(min=0).sum(dim=1), codes.clamp(max=0).sum(dim=1)
        return RowSums(tuple(map(int, above.tolist())), tuple(map(int, below.tolist())), hull.fraction)
    found = codes_of(fmt, weight)
    return None if found is None else RowSums.of(*found)


def accumulator_bits(scheme: Scheme, weights: RowSums | None, bias: Tensor | None) -> int | None:
    """Bits of a two's complement number that holds every sum of a layer, its parts in any order included.

    weights: those at hand, bias [outputs]: quantised. None where something is no fixed point.
    """
    fmt = hull_of(scheme.data_in)
    if fmt is None or weights is None:
        return None
    biases = (np.zeros(1, dtype=np.int64), 0) if bias is None else codes_of(scheme.bias, bias)
    return None if biases is None else signed_bits(*weights.range(fmt.codes, fmt.fraction, *biases))


def signed_bits(low: int, high: int) -> int:
    """Of a two's complement number that holds both."""
    return max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + 1


def exceeds_float(layer: str | nn.Module, scheme: Scheme, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether sums take more bits than float32 holds, so that they have to be computed in float64.

    layer: a module, or a function's type. weight, bias: quantised. What is no fixed point never does.
    """
    if not is_sum(layer) or not may_exceed_float(scheme, weight):
        return False
    if type(weight) not in (Tensor, nn.Parameter):  # torch exports or compiles, and has no values
        return True
    return beyond_float(accumulator_bits(scheme, row_sums(scheme.weight, weight), bias))


def is_sum(layer: str | nn.Module) -> bool:
    """Whether a layer, or a function of a type, gives sums of products alone."""
    kind = layer if isinstance(layer, str) else layer_type(layer)
    return kind in SUMS and (kind not in NORMS or (not isinstance(layer, str) and is_scale(layer)))


def beyond_float(bits: int | None) -> bool:
    """Whether float32 does not hold all two's complement numbers of so many bits; False for None."""
    return bits is not None and bits - 1 > FLOAT_BITS


def may_exceed_float(scheme: Scheme, weight: Tensor) -> bool:
    """Whether sums take more bits than float32 holds, by the formats alone: quick, and true too often."""
    if not is_fixed_point(scheme.data_in) or scheme.weight is None:
        return False
    held = [hull_of(fmt) for fmt in (scheme.data_in, scheme.weight, scheme.bias) if fmt is not None]
    formats = [fmt for fmt in held if fmt is not None]
    if len(formats) < len(held):
        return True
    given = formats[0]
    fraction = given.fraction + formats[1].fraction
    finer = max(formats[2].fraction - fraction, 0) if len(formats) > 2 else 0
    product = given.width + formats[1].width + math.ceil(math.log2(max(int(weight[0].numel()), 1))) + finer
    added = formats[2].width + max(fraction - formats[2].fraction, 0) if len(formats) > 2 else 0
    return max(product, added) + 1 > FLOAT_BITS


def is_scale(layer: nn.Module) -> bool:
    """Whether a batch norm only multiplies by its weight and adds its bias.

    That is how `fold_batchnorm_transform_pass` leaves it.
    """
    if not isinstance(layer, nn.modules.batchnorm._BatchNorm) or layer.training:
        return False
    mean, variance = layer.running_mean, layer.running_var
    if mean is None or variance is None or layer.weight is None:
        return False
    return not bool(mean.any()) and bool((variance + layer.eps == 1).all())


def exactly(call: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What a call gives in float64, narrowed to what it would be of."""
    args, kwargs = tree_map_only(Tensor, _doubled, (args, dict(kwargs)))
    return tree_map_only(Tensor, narrowed, call(*args, **kwargs))


def layer_exactly(
    layer: nn.Module, parameters: Mapping[str, Tensor], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """What a layer gives in float64 with these parameters in place of its own, narrowed."""
    held = {**dict(layer.named_parameters()), **dict(layer.named_buffers()), **parameters}
    doubled = {name: _doubled(value) for name, value in held.items()}
    return exactly(partial(called_with, layer, doubled), (args, dict(kwargs)), {})


def narrowed(x: Tensor) -> Tensor:
    """x of float64 in float32, rounded to odd: what it does not hold gets the neighbour whose last bit is 1.

    A format of up to 22 bits then reads from it just what it would read from x, which it would not of the
    nearest float32: rounding twice is another rounding. ReLUs and maxima in between keep that, as the order
    of numbers stays. Source: Boldo and Melquiond 2008, Emulation of FMA and correctly rounded sums.
    """
    if x.dtype != torch.float64:
        return x
    if is_jit_tracing() or torch.onnx.is_in_onnx_export():  # which have no view of bits
        return rounded_by_sums(x)
    found: Tensor = _RoundedToOdd.apply(x)  # type: ignore[no-untyped-call]
    return found


def rounded_by_sums(x: Tensor) -> Tensor:
    """As `narrowed`, by sums and products alone, for floats that are not subnormal.

    The neighbour towards zero is the number less a little more than half its last step; whether its last bit
    is 1, what a split into 23 bits and the rest leaves. Source: Rump et al. 2009, Computing predecessor and
    successor in rounding to nearest; Veltkamp 1968.
    """
    nearest = x.float()
    back = nearest.double()
    before = nearest - nearest * (2.0**-24 * (1 + 2.0**-23))
    cut = torch.where(back.abs() > x.abs(), before, nearest)
    after = cut + cut * (2.0**-24 * (1 + 2.0**-23))
    thrice = cut * 3.0
    is_even = thrice - (thrice - cut) == cut
    return torch.where((back != x) & is_even, after, cut)


class _RoundedToOdd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        nearest = x.float()
        back = nearest.double()
        bits = nearest.contiguous().view(torch.int32)
        bits = bits - (back.abs() > x.abs()).int()  # towards zero: the sign is a bit of its own
        return (bits | (back != x).int()).view(torch.float32)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.double()


def _doubled(x: Tensor) -> Tensor:
    return x.double() if x.is_floating_point() else x
