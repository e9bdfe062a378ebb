"""Where the weights of layers have their output channels, so that a format can give each a scale."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from torch import nn

from widthwise.formats.base import Format
from widthwise.network.layers import layer_type
from widthwise.network.operations import TRANSPOSED
from widthwise.network.scheme import Scheme

if TYPE_CHECKING:
    from widthwise.network.layer import Layer

MATRIX_PRODUCTS = {
    "matmul",
    "mm",
    "bmm",
    "addmm",
    "baddbmm",
    "grouped_mm",
}  # by kind: a weight [in, out] on the right


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


def of_module(module: nn.Module) -> OutputAxis:
    """Where a module has the output channels of its weight."""
    groups = module.groups if isinstance(module, nn.modules.conv._ConvNd) else 1
    return output_axis(layer_type(module), groups)


def of_layer(layer: Layer) -> OutputAxis:
    """Where a layer has the output channels of its weight."""
    if layer.module is not None:
        return of_module(layer.module)
    place = next((operand.path[0] for operand in layer.of if operand.role == "weight"), None)
    return output_axis(layer.type, _groups(layer), left=place == 0 and layer.type in MATRIX_PRODUCTS)


def for_weight(fmt: Format | None, place: OutputAxis) -> Format | None:
    """The format of a weight: scales of channels go with the outputs, unless an axis was given."""
    return None if fmt is None else fmt.for_channels(place.axis, place.groups)


def for_layer(scheme: Scheme, layer: Layer) -> Scheme:
    """The scheme with its weight's format as `for_weight` has it for this layer."""
    weight = for_weight(scheme.weight, of_layer(layer))
    return scheme if weight is scheme.weight else replace(scheme, weight=weight)


def _groups(layer: Layer) -> int:
    """Of a function that convolves, called as conv_transpose2d(x, weight, bias, stride, …, groups)."""
    args, kwargs = layer.node.args, layer.node.kwargs
    given: Any = kwargs.get("groups", args[6] if len(args) > 6 else 1)
    return given if isinstance(given, int) else 1
