"""Where the weights of layers have their output channels, so that a format can give each a scale."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from widthwise.formats.base import Format
from widthwise.network.layers import layer_type
from widthwise.network.operations import TRANSPOSED
from widthwise.network.scheme import Scheme

# by kind: a weight [in, out] on the right; the last is transformers' Conv1D, as layer types spell it
MATRIX_PRODUCTS = {"matmul", "mm", "bmm", "addmm", "baddbmm", "conv1_d"}


@dataclass(frozen=True)
class OutputAxis:
    """The axis of a weight along which output channels run, in each of `groups` equal parts of axis 0."""

    axis: int = 0
    groups: int = 1


def output_axis(kind: str, groups: int = 1, *, left: bool = False) -> OutputAxis:
    """Where a layer or function of this type (`layer_type`) has the output channels of its weight.

    Linear layers, convolutions, embeddings and recurrent layers have [out, …]; transposed convolutions
    [in, out / groups, …], whose groups are parts of the inputs; products of matrices [in, out], or [out, in]
    where the weight is their `left` operand. Groups count in transposed convolutions alone.
    """
    if kind in TRANSPOSED:
        return OutputAxis(1, groups)
    if kind in MATRIX_PRODUCTS:
        return OutputAxis(-2 if left else -1)
    return OutputAxis()


def for_weight(fmt: Format | None, module: nn.Module | None) -> Format | None:
    """The format of a module's weight: scales of channels go with the outputs, unless an axis was given."""
    if fmt is None or module is None:
        return fmt
    if isinstance(module, nn.modules.conv._ConvTransposeNd):  # whatever its class is called
        place = OutputAxis(1, module.groups)
    else:
        place = output_axis(layer_type(module))
    return fmt.for_channels(place.axis, place.groups)


def for_layer(scheme: Scheme, module: nn.Module | None) -> Scheme:
    """The scheme with its weight's format as `for_weight` has it for this module."""
    weight = for_weight(scheme.weight, module)
    return scheme if weight is scheme.weight else replace(scheme, weight=weight)
