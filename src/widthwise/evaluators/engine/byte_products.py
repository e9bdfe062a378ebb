"""Products of fixed point of up to eight bits as products of bytes: the same numbers, in less time.

A processor with instructions for it (VNNI, AMX) multiplies bytes four to ten times as fast as floats. Sums of
whole numbers are exact, as float32's are up to 2^24: only there is it done, and where it is faster. The
products are oneDNN's, as torch's own quantised layers have them: unsigned data, signed weights, sums of 32
bits that are then multiplied by the steps of both, powers of two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from widthwise.formats.base import Format
from widthwise.formats.integer import Integer

LEAST_INPUTS = 32  # of a sum: with fewer, turning data into bytes takes longer than the product
LEAST_PRODUCTS = 2**21  # of a call
EXACT = 2.0**24  # up to here float32 has every whole number
MOST_EXPONENT = 50  # of a step: the product of two is far from where float32 ends


@cache
def are_fast() -> bool:
    """Whether this processor multiplies bytes, and adds them up without losing any."""
    there = all(hasattr(torch.ops.onednn, name) for name in ("qlinear_pointwise", "qconv2d_pointwise"))
    known = bool(getattr(torch.cpu, "_is_vnni_supported", bool)())
    return there and known and torch._C._has_mkldnn


@dataclass(frozen=True)
class ByteGrid:
    """The values of a format: whole numbers from `low` to `high`, which fit a byte, times a step."""

    step: float
    low: int
    high: int

    @property
    def zero(self) -> int:
        """What is added to a number to make it an unsigned byte; even."""
        return -self.low

    @property
    def most(self) -> int:
        """The greatest of these bytes."""
        return self.high - self.low

    @property
    def is_signed_byte(self) -> bool:
        """Whether weights may have it."""
        return self.high < 128  # where signed bytes end


def grid_of(fmt: Format | None) -> ByteGrid | None:
    """The grid of a format's values, if they fit a byte."""
    if not isinstance(fmt, Integer) or not fmt.elementwise or abs(fmt.fraction) > MOST_EXPONENT:
        return None
    low, high = fmt.codes
    fits = high - low < 256 and low % 2 == 0
    return ByteGrid(2.0**-fmt.fraction, low, high) if fits else None


@dataclass(frozen=True)
class Window:
    """How a convolution of two axes goes over its data."""

    stride: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int]
    groups: int

    @property
    def given(self) -> tuple[Sequence[int], Sequence[int], Sequence[int], int]:
        """As oneDNN's functions are given it."""
        return self.stride, self.padding, self.dilation, self.groups


@dataclass(frozen=True, eq=False)
class Codes:
    """A weight as bytes in the layout of oneDNN.

    greatest: the sum of the positive or of the negative weights of an output, of whichever that is greatest.
    """

    made_of: Tensor
    version: int  # of the tensor when these were made; -1 where it has none
    bytes: Tensor
    steps: Tensor  # [out]
    zeros: Tensor  # [out]
    greatest: float
    inputs: int  # of a sum
    outputs: int
    channels: int  # of the data
    window: Window | None

    @classmethod
    def of(
        cls, weight: Tensor, step: float, window: Window | None = None, *, out_first: bool = True
    ) -> Codes:
        """Of a weight on the grid of the step: [out, in], or [in, out]; a convolution's [out, in, k, k]."""
        whole = weight.detach().div(step)
        whole = whole if out_first else whole.t().contiguous()
        rows = whole.flatten(1).double()
        sums = torch.stack([rows.clamp(min=0).sum(1), rows.clamp(max=0).sum(1).neg()])
        greatest = float(sums.max())  # NaN where a weight is
        signed, outputs = whole.to(torch.int8), len(whole)
        steps, zeros = torch.full((outputs,), step), torch.zeros(outputs, dtype=torch.int32)
        if window is None:
            packed = torch.ops.onednn.qlinear_prepack(signed, None)
        else:
            packed = torch.ops.onednn.qconv_prepack(signed, steps, 1.0, 0, *window.given, None)
        inputs, channels = whole[0].numel(), whole.shape[1] * (window.groups if window else 1)
        sizes = (inputs, outputs, channels)
        return cls(weight, _version(weight), packed, steps, zeros, greatest, *sizes, window)

    def is_of(self, weight: Tensor) -> bool:
        """Whether the weight is still what these were made of."""
        return self.made_of is weight and self.version == _version(weight) != -1

    def holds_sums(self, grid: ByteGrid) -> bool:
        """Whether sums with any data on the grid are exact, with what was added to it and without."""
        return (grid.most + 1) * self.greatest <= EXACT


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version


def may_be_bytes(x: Tensor) -> bool:
    """Whether data [samples, ..., in] or [samples, in, height, width] is of a kind that bytes are made of."""
    return (
        x.dtype == torch.float32
        and x.device.type == "cpu"
        and x.ndim > 1
        and not torch.is_autocast_enabled("cpu")
    )


def rounded(x: Tensor, grid: ByteGrid) -> Tensor | None:
    """Data that may be bytes in the format of the grid, as unsigned bytes of the same layout; None with NaN.

    Next to 1.5 * 2^23 steps a float's spacing is one step: the addition rounds, half to even, and leaves the
    number in the float's last bits.
    """
    if not math.isfinite(float(x.sum())):  # as it also is of infinities, and of values that need no bytes
        return None
    shift = (1.5 * 2.0**23 + grid.zero) * grid.step
    steps = x.clamp(grid.low * grid.step, grid.high * grid.step).add_(shift)
    return steps.view(torch.int32).to(torch.uint8)


def suits(x: Tensor, grid: ByteGrid, codes: Codes, bias: Tensor | None) -> bool:
    """Whether bytes are better than floats, for data that may be bytes.

    They are not for small products, where sums can exceed what float32 has, and where shapes are none that
    the layer takes in batches.
    """
    if bias is not None and bias.dtype != x.dtype:
        return False
    large = codes.inputs >= LEAST_INPUTS and _products(x, codes) >= LEAST_PRODUCTS
    return large and codes.holds_sums(grid)


def product(data: Tensor, grid: ByteGrid, codes: Codes, bias: Tensor | None) -> Tensor:
    """What a linear layer or convolution makes of rounded data that suits it, in float32."""
    given = (data, grid.step, grid.zero, codes.bytes, codes.steps, codes.zeros, bias)
    output: tuple[Any, ...] = (1.0, 0, torch.float32, "none", [], "")
    if codes.window is None:
        found: Tensor = torch.ops.onednn.qlinear_pointwise.default(*given, *output)
    else:
        found = torch.ops.onednn.qconv2d_pointwise.default(*given, *codes.window.given, *output)
    return found


def _products(x: Tensor, codes: Codes) -> int:
    """How many products a call has, a convolution's as if it padded nothing; 0 for shapes that don't fit."""
    if codes.window is None:
        return x.numel() * codes.outputs if x.shape[-1] == codes.inputs else 0
    if x.ndim != len("NCHW") or x.shape[1] != codes.channels:
        return 0
    return x[:, :1].numel() // math.prod(codes.window.stride) * codes.inputs * codes.outputs
