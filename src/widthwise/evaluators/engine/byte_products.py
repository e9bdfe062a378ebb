"""Products of fixed point of up to eight bits as products of bytes: the same numbers, in less time.

A processor with instructions for it (VNNI) multiplies bytes two to three times as fast as floats. Sums of
whole numbers are exact, as float32's are up to 2^24: only there is it done, and where it is faster.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional

from widthwise.core.arrays import IntArray
from widthwise.evaluators.engine.kernels import Kernel
from widthwise.evaluators.engine.parameters import Choice, Parameter
from widthwise.formats.base import Format
from widthwise.formats.integer import Integer
from widthwise.network.layer import Layer
from widthwise.network.scheme import Scheme

LEAST_INPUTS = 64  # of a sum: with fewer, turning sums into floats takes longer than the product
LEAST_PRODUCTS = 2**22  # of a call
EXACT = 2.0**24  # up to here float32 has every whole number
BYTE = 127


def are_fast() -> bool:
    """Whether this processor multiplies bytes, and adds them up without losing any."""
    return bool(getattr(torch.cpu, "_is_vnni_supported", bool)())


def codes_of(fmt: Format | None) -> tuple[float, int] | None:
    """The step of a format whose values are bytes times it, and the greatest of these in magnitude."""
    if not isinstance(fmt, Integer) or not fmt.elementwise:
        return None
    low, high = fmt.codes
    if low < -BYTE - 1 or high > BYTE:
        return None
    return 2.0**-fmt.fraction, max(-low, high)


@dataclass(frozen=True, eq=False)
class Codes:
    """A weight as bytes [in, out] times a step, and the greatest sum of magnitudes of an output's."""

    made_of: Tensor
    version: int  # of the tensor when these were made; -1 where it has none
    bytes: Tensor
    step: float
    greatest: float

    @classmethod
    def of(cls, weight: Tensor, step: float, *, out_first: bool) -> Codes:
        """Of a weight on the grid of the step, [out, in] or [in, out]."""
        codes = weight.detach().flatten(1).div(step)
        codes = codes.t() if out_first else codes
        greatest = float(codes.abs().sum(0, dtype=torch.float64).max())  # NaN where a weight is
        return cls(weight, _version(weight), codes.to(torch.int8).contiguous(), step, greatest)

    def is_of(self, weight: Tensor) -> bool:
        """Whether the weight is still what these were made of."""
        return self.made_of is weight and self.version == _version(weight) != -1


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version


def product(x: Tensor, step: float, most: int, codes: Codes) -> Tensor | None:
    """x [..., in], codes up to `most` times a step, times a weight: [..., out]; None where floats are better.

    They are on other types and devices and under autocast, for small products, where sums can exceed what
    float32 has, and where x has a NaN.
    """
    inputs, outputs = codes.bytes.shape
    if x.dtype != torch.float32 or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return None
    if inputs < LEAST_INPUTS or x.numel() * outputs < LEAST_PRODUCTS or not codes.greatest * most <= EXACT:
        return None
    if not math.isfinite(float(x.sum())):
        return None
    rows = x.mul(1 / step).to(torch.int8).reshape(-1, inputs)
    sums = torch._int_mm(rows, codes.bytes)
    result = sums.view(torch.float32).copy_(sums).mul_(step * codes.step)  # in the memory of the sums
    return result.view(*x.shape[:-1], outputs)


@dataclass(eq=False)
class ByteFunctions:
    """Functions of quantised data and weights that multiply bytes where that is better.

    Weights as bytes are kept by the name of the layer and the format.
    """

    fast: bool = field(default_factory=are_fast)
    kept: dict[tuple[str, Format], Codes] = field(default_factory=dict)

    def of(self, function: Callable[..., Any], layer: Layer, scheme: Scheme) -> Callable[..., Any]:
        """The function, or what gives the same where it is linear or addmm of formats that fit bytes."""
        data, weight, fmt = codes_of(scheme.data_in), codes_of(scheme.weight), scheme.weight
        if not self.fast or data is None or weight is None or fmt is None or function not in _PLACES:
            return function
        roles = {operand.path[0]: operand.role for operand in layer.of if len(operand.path) == 1}
        x, w, bias = _PLACES[function]
        if roles.get(x) != "data_in" or roles.get(w) != "weight":
            return function  # all given by place, the data quantised, the weight stored

        def multiplied(*args: Any, **kwargs: Any) -> Any:
            given = args[bias] if len(args) > bias else kwargs.get("bias")
            if kwargs.keys() - {"bias"} or args[x].dtype != torch.float32:
                return function(*args, **kwargs)
            codes = self._codes((layer.name, fmt), args[w], weight[0], out_first=w < bias)
            found = product(args[x], *data, codes)
            if found is None:
                return function(*args, **kwargs)
            return found if given is None else found.add_(given)

        return multiplied

    def _codes(self, key: tuple[str, Format], weight: Tensor, step: float, *, out_first: bool) -> Codes:
        found = self.kept.get(key)
        if found is None or not found.is_of(weight):
            found = self.kept[key] = Codes.of(weight, step, out_first=out_first)
        return found


_PLACES: dict[Any, tuple[int, int, int]] = {functional.linear: (0, 1, 2), torch.addmm: (1, 2, 0)}
"""Where a function is given its data, weight and bias; the weight of linear is [out, in]."""


@dataclass(frozen=True, eq=False)
class ByteLayer:
    """A kernel of a linear layer or 1x1 convolution whose first own slot is the format of its data.

    weight: its versions, by own slot; of a convolution the layer tells stride and bias.
    """

    kernel: Kernel  # that takes the other slots, and computes what bytes are not better for
    layer: nn.Linear | nn.Conv2d
    data: tuple[Format | None, ...]
    weight: tuple[int, Parameter]
    bias: tuple[int, Parameter] | None
    kept: dict[int, Codes | None] = field(default_factory=dict)

    def __call__(self, stacks: Sequence[Any], picks: Sequence[IntArray], choices: IntArray) -> Any:
        return self.kernel(stacks, picks, choices[:, 1:])

    def one(self, values: Sequence[Any], choice: Choice) -> Any:
        data, others = codes_of(self.data[choice[0]]), choice[1:]
        codes = self._codes(int(others[self.weight[0]]))
        found = None if data is None or codes is None else product(self._rows(values[0]), *data, codes)
        if found is None:
            return self.kernel.one(values, others)
        bias = self.layer.bias if self.bias is None else self.bias[1][int(others[self.bias[0]])]
        found = found if bias is None else found.add_(bias.detach())
        return found.permute(0, 3, 1, 2) if isinstance(self.layer, nn.Conv2d) else found

    def _rows(self, x: Tensor) -> Tensor:
        """Data with the axis that is summed over last."""
        if not isinstance(self.layer, nn.Conv2d):
            return x
        down, right = self.layer.stride
        return x[:, :, ::down, ::right].permute(0, 2, 3, 1)

    def _codes(self, choice: int) -> Codes | None:
        if choice not in self.kept:
            step = codes_of(self.weight[1].formats[choice])
            weight = self.weight[1][choice]
            self.kept[choice] = None if step is None else Codes.of(weight, step[0], out_first=True)
        return self.kept[choice]


def multiplies(layer: Any) -> TypeGuard[nn.Linear | nn.Conv2d]:
    """Whether a module is a matrix product of what it reads and its weight, and nothing more."""
    if "forward" in vars(layer):
        return False
    if isinstance(layer, nn.Linear):
        return type(layer).forward is nn.Linear.forward
    if not isinstance(layer, nn.Conv2d) or layer.kernel_size != (1, 1) or layer.groups != 1:
        return False
    own = type(layer).forward, type(layer)._conv_forward
    return layer.padding in ((0, 0), "valid") and own == (nn.Conv2d.forward, nn.Conv2d._conv_forward)


def some_are_bytes(formats: Sequence[Format | None]) -> bool:
    """Whether products of data or weights in one of these formats may go by bytes here."""
    return are_fast() and any(codes_of(fmt) is not None for fmt in formats)
