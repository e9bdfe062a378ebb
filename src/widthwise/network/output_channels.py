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
    path = next((operand.path for operand in layer.of if operand.role == "weight"), (None,))
    if layer.type == "einsum":
        return OutputAxis(_axis_of_einsum(layer.node.args[0], int(path[-1] or 0) - (len(path) == 1)))
    if layer.type == "tensordot" and (stored := layer.stored.get("weight")):
        return OutputAxis(_axis_of_tensordot(layer, path[0], stored[0].value.ndim))
    return output_axis(layer.type, _groups(layer), left=path[0] == 0 and layer.type in MATRIX_PRODUCTS)


def _axis_of_einsum(equation: Any, place: int) -> int:
    """The first axis of the operand at a place that the result has and no other operand; 0: there is none."""
    if not isinstance(equation, str) or "." in equation:
        return 0
    read, arrow, made = equation.replace(" ", "").partition("->")
    terms = read.split(",")
    kept = made if arrow else "".join(letter for letter in read if read.count(letter) == 1)
    others = "".join(terms[:place] + terms[place + 1 :])
    own = [axis for axis, letter in enumerate(terms[place]) if letter in kept and letter not in others]
    return own[0] if own else 0


def _axis_of_tensordot(layer: Layer, place: Any, rank: int) -> int:
    """The first axis of the operand at a place, which has so many, that is not summed over."""
    args, kwargs = layer.node.args, layer.node.kwargs
    dims: Any = kwargs.get("dims", args[2] if len(args) > 2 else 2)
    if isinstance(dims, int):
        summed = set(range(dims) if place == 1 else range(rank - dims, rank))
    else:
        given = dims[place]
        summed = {axis % rank for axis in ([given] if isinstance(given, int) else given)}
    return next((axis for axis in range(rank) if axis not in summed), 0)


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
