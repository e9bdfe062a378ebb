"""Which channels are one unit: followed through one run of the network, then gathered into classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn

from widthwise.core.arrays import IntArray
from widthwise.network.widths.facets import NOBODY, Facets, Joins, along
from widthwise.network.widths.following import Reading, run_followed
from widthwise.network.widths.kinds import axes, channel_count, is_depthwise, is_known, makes_channels
from widthwise.network.widths.whole import LayerSides

Side = Literal["in", "out", "axis0", "axis1", "axis2", "axis3", "axis4"]


@dataclass(frozen=True)
class Member:
    """A layer's side ("in", or "out": also what a norm has), or an axis of a parameter of the network's own.

    Of such a parameter's axes, the last that is longer than 1 is "out".
    """

    owner: str
    side: Side


@dataclass(frozen=True)
class ParameterAxis:
    """Where channels lie in a parameter of the network's own, and whether it is summed over there."""

    axis: int
    reads: bool = False


@dataclass(frozen=True, eq=False)
class Coupling:
    """Channels that change together are of the same class, by number.

    sides: the classes of a side's channels, [channels]. producers: names of what makes new channels (linear
    layers, convolutions, embeddings, parameters), with the classes of these, in the order of modules.
    fixed: why the channels of a class can't change. averaged: classes over whose channels code of the
    network's own takes a mean. readings: sizes by which code tells tensors' shapes.
    """

    sides: Mapping[Member, IntArray]
    producers: Mapping[str, IntArray]
    parameter_axes: Mapping[Member, ParameterAxis]
    fixed: Mapping[int, str]
    averaged: frozenset[int]
    readings: Sequence[tuple[Reading, IntArray]]
    other_sizes: Mapping[str, set[int]]


def couple(model: nn.Module, example: Sequence[Any]) -> Coupling:
    """The coupling of all channels of a network in eval mode that takes these arguments.

    Raises UserError where it can't be told: in which module, and what still works.
    """
    joins = Joins()
    layers = _layers(model, joins)
    joins.layers = joins.count
    own, parameter_axes = _own_parameters(model, layers, joins)
    tensors = {**_layer_tensors(model, layers), **_facets_of(model, own, parameter_axes)}
    _join_layers(model, layers, tensors, joins)
    followed = run_followed(model, example, layers, tensors, joins)
    classes = joins.classes()
    two_sided = {name: layer for name, layer in layers.items() if layer.inputs is not layer.outputs}
    numbers = {Member(name, "in"): layer.inputs for name, layer in two_sided.items()}
    numbers |= {Member(name, "out"): layer.outputs for name, layer in layers.items()}
    sides = {m: classes[x.numpy()] for m, x in {**numbers, **own}.items() if x is not None and len(x)}
    modules = dict(model.named_modules())
    made = [name for name in layers if makes_channels(modules[name])]
    producers = {name: sides[Member(name, "out")] for name in made if Member(name, "out") in sides}
    producers |= {member.owner: sides[member] for member in own if member.side == "out"}
    fixed: dict[int, str] = {}
    for facet, reason in followed.fixed:
        for number in _classes_of(facet, classes):
            fixed.setdefault(number, reason)
    averaged = frozenset(number for facet in followed.averaged for number in _classes_of(facet, classes))
    readings = [(reading, classes[reading.channels.numpy()]) for reading in followed.readings]
    read = {number for facet in followed.read for number in facet.flatten().tolist()}
    placed = {
        m: ParameterAxis(axis, not read.isdisjoint(own[m].tolist())) for m, axis in parameter_axes.items()
    }
    return Coupling(sides, producers, placed, fixed, averaged, readings, followed.other_sizes)


def _classes_of(facet: Tensor, classes: IntArray) -> list[int]:
    found: list[int] = np.unique(classes[facet[facet != NOBODY].numpy()]).tolist()
    return found


TABLES = (nn.Embedding, nn.EmbeddingBag, nn.MultiheadAttention)  # of one side


def _layers(model: nn.Module, joins: Joins) -> dict[str, LayerSides]:
    """The layers of known kinds, their channels numbered; a depthwise convolution has one side."""
    found: dict[str, LayerSides] = {}
    for name, module in model.named_modules():
        if not is_known(module) or name.rpartition(".")[0] in found:  # attention holds a layer
            continue
        count = {side: channel_count(module, side) for side in ("in", "out")}
        outputs = None if count["out"] is None else joins.number(count["out"])
        inputs = None
        if makes_channels(module) and not isinstance(module, TABLES):
            alike = is_depthwise(module) and count["in"] == count["out"]
            inputs = outputs if alike or count["in"] is None else joins.number(count["in"])
        found[name] = LayerSides(inputs, outputs)
    return found


def _layer_tensors(model: nn.Module, layers: Mapping[str, LayerSides]) -> dict[Tensor, Facets]:
    """The facets of the layers' weights; a grouped convolution's lie along the axis that is whole."""
    found: dict[Tensor, Facets] = {}
    for name, layer in layers.items():
        module = model.get_submodule(name)
        for key, axis in axes(module).items():
            tensor = getattr(module, key, None)
            if not isinstance(tensor, Tensor):
                continue
            facets = [
                along(channels, at % tensor.ndim, tensor.ndim)
                for channels, at in ((layer.inputs, axis.inputs), (layer.outputs, axis.out))
                if channels is not None and at is not None and tensor.shape[at] == len(channels)
            ]
            found[tensor] = (*found.get(tensor, ()), *facets)
    return found


def _own_parameters(
    model: nn.Module, layers: Mapping[str, LayerSides], joins: Joins
) -> tuple[dict[Member, Tensor], dict[Member, int]]:
    """Parameters of the network's own: the numbers of the channels along each axis, and the axes."""
    held = {id(p) for name in layers for p in model.get_submodule(name).parameters()}
    numbers: dict[Member, Tensor] = {}
    places: dict[Member, int] = {}
    for name, parameter in model.named_parameters():
        if id(parameter) in held or not parameter.is_floating_point():
            continue
        long = [axis for axis, size in enumerate(parameter.shape) if size > 1]
        for axis in long:
            member = Member(name, "out" if axis == long[-1] else f"axis{axis}")  # type: ignore[arg-type]
            numbers[member], places[member] = joins.number(parameter.shape[axis]), axis
    return numbers, places


def _facets_of(
    model: nn.Module, own: Mapping[Member, Tensor], parameter_axes: Mapping[Member, int]
) -> dict[Tensor, Facets]:
    parameters = dict(model.named_parameters())
    found: dict[Tensor, Facets] = {}
    for member, channels in own.items():
        parameter = parameters[member.owner]
        facet = along(channels, parameter_axes[member], parameter.ndim)
        found[parameter] = (*found.get(parameter, ()), facet)
    return found


def _join_layers(
    model: nn.Module,
    layers: Mapping[str, LayerSides],
    tensors: Mapping[Tensor, Facets],
    joins: Joins,
) -> None:
    """Joins what two layers that hold one weight say of its axes, and a depthwise convolution's sides."""
    for facets in tensors.values():
        joins.merged(facets)
    for name, layer in layers.items():
        module = model.get_submodule(name)
        if is_depthwise(module) and layer.inputs is not None and layer.outputs is not None:
            each = len(layer.outputs) // len(layer.inputs)
            joins.join(layer.outputs, layer.inputs.repeat_interleave(each))
