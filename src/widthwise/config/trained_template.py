"""A commented config of a search that trains widths, for `widthwise init --strategy gradient`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from widthwise.core.toml import dumps, shown
from widthwise.training.trained_widths.settings import PathSettings

MEANINGS = {
    "steps": "of one training, in which bits become dearer",
    "checkpoints": "of it, each a candidate",
    "price_from": "of all the bits that the network begins with ...",
    "price_to": "... up to which it rises: the higher, the smaller the last networks",
    "settle": "share of the steps before each checkpoint in which it stands and rates fall",
    "cost": 'what is priced; or "bits", of weights and biases',
    "learning_rate": "of weights",
    "width_rate": "of widths",
    "batch_size": "made samples of a step",
    "mixup": "how much of another sample is at most mixed into one",
    "noise": "that is added to each feature, in its standard deviations",
    "labels": "share of the loss that is the task's; the rest is the distance from the float network",
}
TEXT = """\
# Start this search with `widthwise search THIS_FILE`. What stands behind a # is a default.

{names}# load_name = "trained.safetensors"   # trained weights, from widthwise train or your own
# seed = 0

{data}[search.search_space]
name = "graph/quantize/trained_widths"   # every weight and channel gets bits of its own, down to none

[search.search_space.setup]
# weights = "element"     # what of a weight has a width of its own; or "channel", "tensor"
# data = "channel"        # what of the inputs of layers; or "tensor", as hls4ml and onnx need
# bits = 7                # that tensors begin with

[search.training]
{training}
[search.strategy]
name = "gradient"

[search.strategy.metrics]
{quality}.direction = "{direction}"
ebops.direction = "minimize"     # or luts, model_size ...

[search.constraints]
time = "1 h"
"""


def trained_config_text(
    model: str | None,
    dataset: str | None,
    *,
    qualities: Mapping[str, str] | None = None,
    reading: Mapping[str, Any] | None = None,
) -> str:
    """In TOML that `load_config` reads.

    qualities: those of the task with their directions, the first of them the objective. reading: keys of
    [data] that are set.
    """
    quality, direction = next(iter((qualities or {"accuracy": "maximize"}).items()))
    base = PathSettings()
    lines = [
        f"# {field.name} = {shown(getattr(base, field.name))}    # {MEANINGS[field.name]}\n"
        for field in fields(PathSettings)
        if field.name in MEANINGS
    ]
    names = {key: value for key, value in (("model", model), ("dataset", dataset)) if value is not None}
    return TEXT.format(
        names=dumps(names) if names else "",
        data=f"{dumps({'data': dict(reading)})}\n" if reading else "",
        training="".join(lines),
        quality=quality,
        direction=direction,
    )
