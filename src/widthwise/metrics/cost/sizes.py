"""What a layer has in the columns of a table of costs, as the network is."""

from __future__ import annotations

from collections.abc import Mapping

from widthwise.metrics.cost.table import Choice, Column
from widthwise.network.layer import Layer
from widthwise.network.output_channels import of_layer


def layer_choices(layer: Layer) -> Mapping[Column, Choice]:
    """Float in all tensors; `size` and `input_size` are the channels of its weight, 0 where it has none."""
    place = of_layer(layer)
    size = inputs = 0
    if weights := layer.stored.get("weight"):
        shape = weights[0].whole.shape
        axis = place.axis % len(shape)
        size = shape[axis] * place.groups
        inputs = shape[1 - axis] if axis < 2 <= len(shape) else size  # of a norm, each by itself
        if axis == 0 and len(shape) > 1:
            inputs *= getattr(layer.module, "groups", 1)  # [out, in / groups, …]
    return {
        "data_in": Choice.fixed(None),
        "weight": Choice.fixed(None),
        "bias": Choice.fixed(None),
        "size": Choice.fixed(size),
        "input_size": Choice.fixed(inputs),
    }
