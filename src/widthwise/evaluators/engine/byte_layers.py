"""Layers and functions that multiply bytes where their formats allow it and it is faster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from widthwise.core.arrays import IntArray
from widthwise.evaluators.engine.byte_products import (
    ByteGrid,
    Codes,
    Window,
    are_fast,
    grid_of,
    may_be_bytes,
    product,
    rounded,
    suits,
)
from widthwise.evaluators.engine.kernels import Kernel, Quantise
from widthwise.evaluators.engine.parameters import Choice, Parameter
from widthwise.formats.base import Format
from widthwise.network.layer import Layer
from widthwise.network.operands import Call, Path
from widthwise.network.scheme import Scheme
from widthwise.network.stored_tensors import StoredTensors


@dataclass(frozen=True, eq=False)
class ByteLayer:
    """A linear layer or convolution with what quantises its data, whose slot is the first of its own.

    weight: its versions, by the other slots; the layer tells all else, its bias where that has no slot.
    """

    quantise: Quantise
    kernel: Kernel  # of quantised data, that takes the other slots: where bytes are not better
    layer: nn.Linear | nn.Conv2d
    weight: tuple[int, Parameter]
    bias: tuple[int, Parameter] | None
    kept: dict[int, Codes | None] = field(default_factory=dict)

    def __call__(self, stacks: Sequence[Any], picks: Sequence[IntArray], choices: IntArray) -> Any:
        """As a quantising step and the kernel: data is quantised once for each version and format."""
        (stack,), (pick,), data = stacks, picks, choices[:, 0]
        new = np.concatenate(([True], (np.diff(pick) != 0) | (np.diff(data) != 0)))  # they are sorted
        quantised = self.quantise([stack], [pick[new]], choices[new, :1])
        return self.kernel([quantised], [np.cumsum(new) - 1], choices[:, 1:])

    def one(self, values: Sequence[Any], choice: Choice) -> Any:
        data, others = choice[0], choice[1:]
        found = self._product(values[0], data, others)
        if found is not None:
            return found
        return self.kernel.one([self.quantise.one(values, [data])], others)

    def _product(self, x: Any, data: int, others: Choice) -> Tensor | None:
        """The result by bytes; None where they are not better."""
        grid = grid_of(self.quantise.formats[data])
        codes = self._codes(int(others[self.weight[0]])) if grid is not None and may_be_bytes(x) else None
        if grid is None or codes is None:
            return None
        bias = self.layer.bias if self.bias is None else self.bias[1][int(others[self.bias[0]])]
        bias = None if bias is None else bias.detach()
        numbers = rounded(x, grid) if suits(x, grid, codes, bias) else None
        return None if numbers is None else product(numbers, grid, codes, bias)

    def _codes(self, choice: int) -> Codes | None:
        if choice not in self.kept:
            grid = grid_of(self.weight[1].formats[choice])
            fits = grid is not None and grid.is_signed_byte
            window = _window(self.layer) if isinstance(self.layer, nn.Conv2d) else None
            self.kept[choice] = Codes.of(self.weight[1][choice], grid.step, window) if grid and fits else None
        return self.kept[choice]


def _window(layer: nn.Conv2d) -> Window:
    padding = (0, 0) if layer.padding == "valid" else layer.padding
    return Window(layer.stride, [int(x) for x in padding], layer.dilation, layer.groups)


def multiplies(layer: Any) -> TypeGuard[nn.Linear | nn.Conv2d]:
    """Whether a module is a linear layer or convolution with zeros around its data, and nothing more."""
    if "forward" in vars(layer):
        return False
    if isinstance(layer, nn.Linear):
        return type(layer).forward is nn.Linear.forward
    if not isinstance(layer, nn.Conv2d) or layer.padding_mode != "zeros" or layer.padding == "same":
        return False
    own = type(layer).forward, type(layer)._conv_forward
    return own == (nn.Conv2d.forward, nn.Conv2d._conv_forward)


def some_are_bytes(formats: Sequence[Format | None]) -> bool:
    """Whether products of data or weights in one of these formats may go by bytes here."""
    return are_fast() and any(grid_of(fmt) is not None for fmt in formats)


@dataclass(eq=False)
class ByteFunctions:
    """Functions of data and weights in formats that fit bytes, where multiplying bytes is better.

    Weights as bytes are kept by the name of the layer and the format.
    """

    fast: bool = field(default_factory=are_fast)
    kept: dict[tuple[str, Format], Codes] = field(default_factory=dict)

    def product(
        self,
        layer: Layer,
        function: Callable[..., Any],
        call: Call,
        scheme: Scheme,
        stored: StoredTensors,
        numbers_of: Callable[[Tensor, ByteGrid], Tensor | None],
    ) -> Tensor | None:
        """What a call gives with its operands in a scheme's formats; None where bytes are not better.

        It is given by place all but a bias. numbers_of: rounds data to bytes.
        """
        places, args = _PLACES.get(function), call[0]
        data, weight, fmt = grid_of(scheme.data_in), grid_of(scheme.weight), scheme.weight
        if not self.fast or places is None or data is None or weight is None or fmt is None:
            return None
        roles = {operand.path: operand.role for operand in layer.of}
        x, w, b = places
        by_place = (
            roles.get((x,)) == "data_in" and roles.get((w,)) == "weight" and not call[1].keys() - {"bias"}
        )
        if not by_place or not weight.is_signed_byte or not may_be_bytes(args[x]) or args[w].is_inference():
            return None
        path: Path = (b,) if len(args) > b else ("bias",)
        bias = args[b] if len(args) > b else call[1].get("bias")
        if bias is not None and scheme.bias is not None and roles.get(path) == "bias":
            bias = stored.quantised((layer.name, path), bias, scheme.bias)
        codes = self._codes(
            (layer.name, fmt), stored.quantised((layer.name, (w,)), args[w], fmt), weight, w < b
        )
        numbers = numbers_of(args[x], data) if suits(args[x], data, codes, bias) else None
        return None if numbers is None else product(numbers, data, codes, bias)

    def _codes(self, key: tuple[str, Format], weight: Tensor, grid: ByteGrid, out_first: bool) -> Codes:
        found = self.kept.get(key)
        if found is None or not found.is_of(weight):
            found = self.kept[key] = Codes.of(weight, grid.step, out_first=out_first)
        return found


_PLACES: Mapping[Any, tuple[int, int, int]] = {functional.linear: (0, 1, 2), torch.addmm: (1, 2, 0)}
"""Where a function is given its data, weight and bias; the weight of linear is [out, in]."""
