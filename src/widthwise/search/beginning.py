"""What a network's search is begun with: a rule for each layer with weights, the metrics of its task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from widthwise.config import default_config_text
from widthwise.core.errors import UserError
from widthwise.core.toml import parse_toml
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.metrics.quality.outputs import Output
from widthwise.metrics.quality.tasks import CLASSIFICATION, task_of, usual_metrics
from widthwise.network.operations import MATRICES

if TYPE_CHECKING:
    from torch import nn

    from widthwise.data.modules import Data


@dataclass(frozen=True)
class Beginning:
    """What a config is written of.

    layers: name, type and tensors of those that multiply matrices, which hold nearly all weights. qualities:
    metrics of the task with their directions, the usual objective first. output: what of the network's is
    judged; None where there is no data to see it by.
    """

    layers: Sequence[tuple[str, str, tuple[str, ...]]]
    qualities: Mapping[str, str]
    output: Output | None


def beginning(network: nn.Module, data: Data | None, name: str) -> Beginning:
    """What of a network can be searched, captured on the data as a search will do.

    Raises UserError, which calls the network by its `name`, where no layer has weights to quantise, or the
    data doesn't fit.
    """
    from widthwise.network.graph import Graph

    fitting = None if data is None else check_data_fits_model(network, data)
    task = task_of(CLASSIFICATION) if fitting is None else fitting.task
    graph = Graph(network, None if fitting is None else fitting.example)
    layers = [
        (layer.name, layer.type, tuple(layer.tensors))
        for layer in graph.layers
        if layer.type in MATRICES and "weight" in layer.tensors
    ]
    if not layers:
        raise UserError(f"{name}: has no layer with weights that can be quantised; nothing to search")
    names = dict.fromkeys([*task.better, *usual_metrics(task)])
    qualities = {name: task.metrics[name].direction for name in names}
    return Beginning(layers, qualities, None if fitting is None else fitting.output)


def config_to_begin_with(model: nn.Module | str, data: Data | str | None) -> Mapping[str, Any]:
    """What `widthwise init` writes for a network and data, as tables; names stand in them, objects don't.

    A built-in network has the data that it is made for. Raises UserError where there are none, or as
    `beginning` does.
    """
    from widthwise.data.modules import load_data
    from widthwise.network.named import MODELS, load_model, model_source

    name = model_source(model) if isinstance(model, str) else None
    if data is None and name in MODELS.own:
        data = MODELS.own[name].about
    if data is None:
        raise UserError(
            "data: is missing, and there is no config that names it; give a data module or a name"
        )
    network = model if not isinstance(model, str) else load_model(model)
    found = beginning(network, load_data(data), name or type(network).__name__)
    dataset = data if isinstance(data, str) else None
    text = default_config_text(name, dataset, found.layers, qualities=found.qualities)
    return parse_toml(text, label="config")
