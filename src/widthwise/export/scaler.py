"""The scaler that samples went through before the network: as numbers, and as an export's first layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch

from widthwise.core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from widthwise.data.modules import Data
    from widthwise.data.samples import Scaler
    from widthwise.export.exporter import Exported
    from widthwise.export.judged_data import JudgedOn

PREFIX = "scaler"  # of the names of its nodes and tensors


@runtime_checkable
class TakesScaler(Protocol):
    """An exporter that can put the scaler in front of what it wrote."""

    def with_scaler(self, exported: Exported, scaler: Scaler, folder: Path) -> Exported:
        """What was written, changed in the folder so that it takes samples as they are, not standardised."""
        ...


class Standardise(torch.nn.Module):
    """(x - mean) / scale, each of the shape of one sample."""

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    @classmethod
    def of(cls, scaler: Scaler) -> Standardise:
        """The same statistics as tensors."""
        return cls(torch.from_numpy(scaler.mean.copy()), torch.from_numpy(scaler.scale.copy()))

    def forward(self, x: Tensor) -> Tensor:
        """Samples [n, ...] as the network takes them."""
        return (x - self.mean) / self.scale

    def undone(self, z: Tensor) -> Tensor:
        """Samples that are standardised to about z [n, ...]."""
        return z * self.scale + self.mean


def scaler_of(data: Data | None) -> Scaler | None:
    """How the samples of a data module were standardised, in the shape in which they are served."""
    from widthwise.data.samples import Scaler

    found, shape = getattr(data, "scaler", None), getattr(data, "input_shape", None)
    if not isinstance(found, Scaler):
        return None
    return found if shape is None else Scaler(found.mean.reshape(shape), found.scale.reshape(shape))


def checked_scaler(judged: JudgedOn, form: Any) -> Scaler:
    """The scaler for a form's first layer; UserError where there is none, or the form can't take it."""
    scaler = scaler_of(judged.data)
    if judged.data is None:
        raise UserError(
            f"with the scaler: the data that it is of can't be had, only {judged.on}; give it (data=)"
        )
    if scaler is None:
        raise UserError("with the scaler: samples were taken as they are, so there is none; leave it out")
    if not isinstance(form, TakesScaler):
        raise UserError(
            f"with the scaler: {form.name} has no form of it as a layer; its numbers are in export.json, so "
            "leave it out and standardise before"
        )
    return scaler


def as_numbers(judged: JudgedOn, *, first_layer: bool) -> dict[str, Any] | None:
    """What export.json holds of it: z = (x - mean) / scale; None where samples were taken as they are."""
    if judged.data is None:
        return {"unknown": f"the data can't be had: {judged.on}"}
    scaler = scaler_of(judged.data)
    if scaler is None:
        return None
    return {
        "mean": scaler.mean.tolist(),
        "scale": scaler.scale.tolist(),
        "features": list(getattr(judged.data, "feature_names", ())),
        "first_layer": first_layer,
    }


def in_front(made: Any, scaler: Scaler) -> Any:
    """An ONNX model that standardises its first input: a node Sub and a node Div before all others."""
    from onnx import ModelProto, helper, numpy_helper

    model = ModelProto()
    model.CopyFrom(made)
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    first = next(value for value in graph.input if value.name not in stored)
    mean, scale, centred, scaled = (f"{PREFIX}_{part}" for part in ("mean", "scale", "centred", "scaled"))
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == first.name:
                node.input[place] = scaled
    nodes = [
        helper.make_node("Sub", [first.name, mean], [centred], name=f"{PREFIX}_sub"),
        helper.make_node("Div", [centred, scale], [scaled], name=f"{PREFIX}_div"),
    ]
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])
    graph.initializer.extend(
        [numpy_helper.from_array(scaler.mean[None], mean), numpy_helper.from_array(scaler.scale[None], scale)]
    )
    return model
