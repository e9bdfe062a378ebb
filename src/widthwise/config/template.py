"""A commented config to start from, for `widthwise init`, and the examples that the package carries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from math import prod
from typing import Any

from widthwise.core.errors import unknown
from widthwise.core.toml import dotted, dumps, shown
from widthwise.metrics.catalogue import METRICS
from widthwise.strategies.registry import STRATEGIES

DATA = {  # keys of [data], each with an example and its meaning
    "label": ('"price"', "the column (or array) of targets, by name or number; a list: several targets"),
    "header": ('"auto"', "true, false: whether the first line of a .csv names its columns"),
    "targets": ('"auto"', '"classes", "numbers": what targets are, where that isn\'t plain'),
    "standardise": ("true", "scale features by the training part; false: as they are"),
}
CHOICES = {"data_in": [4, 8], "weight": [2, 4, 8], "bias": [2, 4, 8]}
WIDTHS = {tensor: shown(choices) for tensor, choices in CHOICES.items()}
QUALITIES = {name: METRICS[name].direction for name in ("accuracy", "loss", "precision", "recall", "f1")}
ENUMERABLE = 200_000  # candidates that are tried in seconds, of a small network

HEAD = """\
# Start this search with `widthwise search THIS_FILE`; `widthwise inspect THIS_FILE --config` shows what
# applies to each layer. What stands behind a # is a default, or another thing that may stand there.

{names}# load_name = "trained.safetensors"   # trained weights, from widthwise train or your own
# batch_size = 256
# seed = 0
# max_epochs = 100                       # of training
# learning_rate = 0.02
# accelerator = "cpu"                    # or "gpu", "auto"

{data}
[search.search_space]
name = "graph/quantize/mixed_precision_ptq"   # bits and formats; "graph/width": channels; "graph/joint": both

[search.search_space.setup]
by = "{by}"               # what the rules below name layers by: "name", "type" or "regex"
# tie = false             # true: all layers of a rule get the same choice
# share_inputs = false    # true: layers that read the same tensor quantise it alike
# equalise = false        # true: channels between layers are scaled so that weights are alike in size
# bias_correction = false # true: biases make up, on average, for how the weights of their layer are rounded

# Each list is a choice of the search: any format of `widthwise formats`, with its parameters for the tensors
# data_in, weight and bias; weight_name gives the weights a format of their own. The frac width says where the
# point stands: "auto-mse" takes it from the data, where the squared error is least, "auto" where nothing is
# cut off, "auto-99.9" where one value in 1,000 is, "NA" at half the width, a number so many bits from the
# right. weight_rounding = ["nearest", "adaptive"] helps weights of few bits. "NA" as name keeps float.
[search.search_space.seed.default.config]     # layers that no other rule names
name = ["NA"]
"""

TAIL = """
[search.strategy]
name = "frontier"      # or {others}
{enumerating}
# [search.strategy.options]{options}

# [search.strategy.setup]
# uniform_first = false        # don't begin with the schemes that give every layer the same bits
# sum_scaled_metrics = true    # one objective, the sum of scale * metric, instead of a front ...
# direction = "maximize"       # ... to be made great or small; what should be small needs a negative scale

[search.strategy.metrics]
{quality}.direction = "{direction}"    # or {qualities}, a torchmetrics class ...
average_bitwidth.direction = "minimize"   # or model_size, parameters, macs, flops, bops, ebops ...
# average_bitwidth.scale = 0.2            # what scaled_metrics show, and what a sum is made of

[search.constraints]
trials = 100             # at most so many candidates; brute-force needs none: leave it out there
time = "1 h"             # and so much time
# model_size = "<= 2 KiB"          # and only candidates within these bounds
# {quality} = "{bound}"
"""


def default_config_text(
    model: str | None,
    dataset: str | None,
    layers: Iterable[tuple[str, str, Sequence[str]]] = (),
    *,
    qualities: Mapping[str, str] = QUALITIES,
    reading: Mapping[str, Any] | None = None,
) -> str:
    """A commented config in TOML that `load_config` reads.

    layers: name, type and tensors ("data_in", "weight", "bias") of each layer that can be quantised, in
    order; each gets a rule of its own. Without layers there is one rule, for linear layers. qualities: those
    of the task with their directions, the first of them the objective. reading: keys of [data] that are set.
    """
    layers = list(layers)
    rules = [_rule(name, kind, tensors) for name, kind, tensors in layers if name != "default"]
    by = "name" if rules else "type"
    names = {key: value for key, value in (("model", model), ("dataset", dataset)) if value is not None}
    head = HEAD.format(names=dumps(names) if names else "", by=by, data=_data(reading or {}))
    body = rules or [_rule("linear", "", tuple(WIDTHS))]
    quality, *others = qualities
    tail = TAIL.format(
        others=", ".join(name for name in STRATEGIES if name != "frontier"),
        options=_options("frontier"),
        enumerating=_enumerating([tensors for _, _, tensors in layers] or [tuple(WIDTHS)]),
        quality=quality,
        direction=qualities[quality],
        qualities=", ".join([*others, *(["f1[2]"] if "f1" in others else [])]),
        bound=">= 0.72" if qualities[quality] == "maximize" else "<= 0.5",
    )
    return head + "".join(body) + tail


def example_names() -> list[str]:
    """The example configs that the package carries."""
    folder = files("widthwise") / "examples"
    found = [entry.name for entry in folder.iterdir()]
    return sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml"))


def example_text(name: str) -> str:
    """The TOML text of an example; raises UserError for another name."""
    if name not in example_names():
        raise unknown("example", name, example_names())
    return (files("widthwise") / "examples" / f"{name}.toml").read_text(encoding="utf-8")


def _data(reading: Mapping[str, Any]) -> str:
    """The table [data]: what is set, and the rest of its keys as comments."""
    rest = [
        f"# {key} = {example}    # {meaning}"
        for key, (example, meaning) in DATA.items()
        if key not in reading
    ]
    head = dumps({"data": dict(reading)}).rstrip() if reading else "# [data]"
    return "\n".join([head, *rest]) + "\n"


def _rule(name: str, kind: str, tensors: Sequence[str]) -> str:
    comment = f"     # {dotted([kind])}" if kind else ""
    lines = ["", f"[{dotted(['search', 'search_space', 'seed', name, 'config'])}]{comment}"]
    lines += ['name = ["integer"]']
    for tensor in tensors:
        lines += [f"{tensor}_width = {WIDTHS[tensor]}", f'{tensor}_frac_width = ["auto-mse"]']
    return "\n".join(lines) + "\n"


def _enumerating(layers: Sequence[Sequence[str]]) -> str:
    """When brute force is the better choice: how many candidates there are, by the widths of each tensor."""
    size = prod(len(CHOICES[tensor]) for tensors in layers for tensor in tensors)
    if size <= ENUMERABLE:
        return (
            f"# brute-force tries all {size:,} candidates: certain, and as quick where the network is small"
        )
    digits = f"{size:.1e}" if size < 10**300 else f"10^{len(str(size)) - 1}"
    return f"# these are {digits} candidates, too many for brute-force"


def _options(strategy: str) -> str:
    """A commented line for each option of a strategy, with its default and meaning."""
    options = STRATEGIES[strategy].options or {}
    return "".join(
        f"\n# {name} = {shown(option.default)}    # {option.meaning}"
        for name, option in options.items()
        if option.default is not None
    )
