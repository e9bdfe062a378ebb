"""Exact tensor arithmetic that the formats share: exponents are read from and written to bits, never computed
by log2.

A float32 or float64 is worked on as it is; every narrower dtype is widened to float32, which holds all its
values.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from widthwise.core.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def working(x: Tensor, *, double: bool = False) -> Tensor:
    """x without its gradient, in the dtype to compute in: float64 if x is or `double` says so, else float32.

    It may share x's memory: the caller must not write to it.
    """
    import torch

    if not x.is_floating_point():
        raise UserError(
            f"only float tensors can be quantised, this one is {str(x.dtype).removeprefix('torch.')}"
        )
    return x.detach().to(torch.float64 if double or x.dtype == torch.float64 else torch.float32)


def significant_bits(x: Tensor) -> Tensor:
    """Bits from the first to the last that is set in the magnitude of each value, int32 like x; 0 of zero.

    0.375 is 11 in binary, an exponent aside, and has 2; a power of two has 1. Not of NaN and infinities.
    """
    import torch

    mantissas, _ = torch.frexp(working(x, double=True))
    codes = (mantissas.abs() * 2.0**53).to(torch.int64)  # all bits of a float64
    last = codes & -codes
    return torch.where(codes > 0, 54 - torch.frexp(last.to(torch.float64))[1], 0).to(torch.int32)


def narrowed_(y: Tensor, dtype: torch.dtype) -> Tensor:
    """y in the dtype, rounded to it, and cut to what it reaches: never infinite. y may be overwritten."""
    import torch

    top = torch.finfo(dtype).max
    return y.clamp_(-top, top).to(dtype)


def held(value: float, dtype: torch.dtype, *, step: float = 0.0, digits: int = 64) -> float:
    """The value nearest to `value`, not beyond it, that both the dtype and the format have.

    The format's values have at most `digits` significant bits and are multiples of `step`, a power of two or
    0.
    """
    import torch

    magnitude = min(abs(value), torch.finfo(dtype).max)
    coarsest = math.ldexp(1.0, math.frexp(magnitude)[1] - min(digits, digits_of(dtype)))
    grid = max(step, coarsest, least(dtype))
    return math.copysign(math.floor(magnitude / grid) * grid, value)


def shortened(value: float, dtype: torch.dtype) -> float:
    """The greatest number up to `value` > 0 that has as few significant bits as the dtype's, of any size."""
    grid = math.ldexp(1.0, math.frexp(value)[1] - digits_of(dtype))
    return math.floor(value / grid) * grid


def digits_of(dtype: torch.dtype) -> int:
    """Significant bits of the dtype's normal numbers."""
    import torch

    return 2 - math.frexp(torch.finfo(dtype).eps)[1]


def least(dtype: torch.dtype) -> float:
    """The least positive number of the dtype."""
    import torch

    info = torch.finfo(dtype)
    return info.smallest_normal * info.eps


def power_below(y: Tensor) -> Tensor:
    """The greatest power of two up to |y|; 0 for zeros and subnormals, infinity for infinities and NaN."""
    import torch

    if y.dtype == torch.float64:
        return y.view(torch.int64).bitwise_and(0x7FF << 52).view(torch.float64)
    return y.view(torch.int32).bitwise_and(0xFF << 23).view(torch.float32)


def float_grid_(y: Tensor, *, fraction_bits: int, min_exponent: int) -> Tensor:
    """Rounds y in place, half to even, to floats of `fraction_bits` behind the leading bit.

    Below 2^min_exponent (not below the dtype's normal numbers) the step stays what it is there. Finite y and
    NaN only.
    """
    step = power_below(y).clamp_min_(2.0**min_exponent).mul_(2.0**-fraction_bits)
    return y.div_(step).round_().mul_(step)


def needs_double(min_exponent: int, fraction_bits: int = 0) -> bool:
    """Whether float32 is too narrow for normal numbers from 2^min_exponent with these fraction bits."""
    return min_exponent < -126 or min_exponent - fraction_bits < -149


def nearest_power(y: Tensor) -> Tensor:
    """The power of two nearest to |y| on a logarithmic axis; 0 for zeros, infinity for infinities and NaN.

    The border between 2^k and 2^(k+1) is 2^k * sqrt(2), irrational, so there are no ties.
    """
    import torch

    integers, digits = (torch.int64, 52) if y.dtype == torch.float64 else (torch.int32, 23)
    infinity = (0x7FF << 52) if digits == 52 else (0xFF << 23)
    carry = (2 << digits) - math.isqrt(2 << 2 * digits) - 1  # takes what exceeds sqrt(2) to the next exponent
    bits = y.view(integers).bitwise_and(infinity | ((1 << digits) - 1)).clamp_max_(infinity)
    return bits.add_(carry).bitwise_and_(infinity).view(y.dtype)


def magnitudes(y: Tensor) -> Tensor:
    """|y| as it counts in statistics: NaN as 0, infinities as the greatest finite value."""
    return y.abs().nan_to_num_(nan=0.0)


def means(values: Tensor, counted: Tensor, axes: list[int]) -> Tensor:
    """Sums of finite values >= 0 over some axes, kept, by how many count there (1 or True); 0 for none.

    Taken in float64, which they stay, and in parts of the greatest value, so that no sum overflows.
    """
    import torch

    wide = values.double()
    if not axes:
        return wide
    unit = power_below(wide.amax(axes, keepdim=True)).clamp_min_(torch.finfo(wide.dtype).tiny)
    count = counted.sum(axes, keepdim=True, dtype=wide.dtype).clamp_min_(1)
    found = wide.div(unit).sum(axes, keepdim=True).div_(count).mul_(unit)
    return found.clamp_max_(torch.finfo(values.dtype).max)


def up_to(y: Tensor, dtype: torch.dtype) -> Tensor:
    """y >= 0 in the dtype, rounded down: a number of the dtype exceeds the one where it exceeds the other."""
    import torch

    near = y.to(dtype)
    below = torch.nextafter(near, torch.zeros_like(near))
    return torch.where(near > y, below, near)


def nan_or_zero(y: Tensor) -> Tensor:
    """NaN where y is, else zero: to be added to what has lost its NaN."""
    return y.clamp(0.0, 0.0)


def exceeds(y: Tensor, border: Tensor | float) -> Tensor:
    """1 where y > border, else 0 (NaN too), in y's dtype; a tensor of borders broadcasts, all finite or NaN.

    Boolean tensors and comparing with tensors that broadcast take several times as long.
    """
    import torch

    if isinstance(border, torch.Tensor):
        return y.sub(border).sign_().clamp_min_(0.0)
    return torch.gt(y, border, out=torch.empty_like(y))
