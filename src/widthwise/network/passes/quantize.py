"""The quantisation pass: layers that a config names compute with its formats."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from widthwise.core.errors import UserError, unknown
from widthwise.network.graph import Graph
from widthwise.network.layer import Layer
from widthwise.network.output_channels import for_layer
from widthwise.network.passes.rules import check_keys_apply, inactive, select
from widthwise.network.scheme import TENSORS, Scheme
from widthwise.network.selection import DEFAULT, by_of

logger = logging.getLogger(__name__)

PASS = "quantize_transform_pass"


def quantize_transform_pass(graph: Graph, pass_args: Mapping[str, Any]) -> tuple[Graph, dict[str, Scheme]]:
    """A copy of the graph in which every layer that a rule selects computes with that rule's scheme.

    `pass_args` is the lab's: {"by": "type", "default": {"config": {"name": None}}, "linear": {"config":
    {"name": "integer", "data_in_width": 8, …}}}. Rules select layers by "name", "type" or "regex" (see
    `rules.select`); the first rule that fits is taken, the rest of the layers take "default" or, without one,
    stay as they are. Rules that select layers by the other of name and type are left out and logged, as long
    as others are left. Formats of tensors that a layer doesn't have are left out; `name` None keeps float,
    and makes a quantised layer float again. A layer that is quantised already takes the new scheme in place
    of the old one: the float weights are always kept.

    Returns the copy and the scheme of each layer selected. The graph and the config given stay as they are.
    Raises UserError for a rule that selects nothing, for a key of a tensor that none of its layers has, and
    for keys and formats that don't exist.
    """
    if not isinstance(pass_args, Mapping):
        raise UserError(
            f"{PASS}: its config is a {type(pass_args).__name__}; give a mapping with by and rules"
        )
    by = by_of(pass_args.get("by", "type"), where=PASS)
    rules = {key: _scheme(key, entry) for key, entry in pass_args.items() if key != "by"}
    unused = inactive(graph, by, rules, alone=bool(rules.get(DEFAULT)), where=PASS)
    if unused:
        logger.warning("%s: by = %r leaves out the rules %s", PASS, by, ", ".join(unused))
    selected = select(graph, by, [key for key in rules if key not in unused], where=PASS)
    layers = {layer.name: layer for layer in graph.layers}
    for key in set(selected.values()) - {DEFAULT}:
        own = [layers[name] for name, chosen in selected.items() if chosen == key]
        check_keys_apply(key, own, pass_args[key]["config"], where=f"{PASS}.{key}.config")
    schemes = {name: _restricted(rules[key], layers[name]) for name, key in selected.items()}
    return graph.quantized(schemes), schemes


def _scheme(key: str, entry: Any) -> Scheme:
    where = f"{PASS}.{key}"
    if not isinstance(entry, Mapping):
        raise UserError(f'{where}: is {entry!r}; give {{"config": {{"name": …}}}}')
    for name in entry:
        if name != "config":
            raise unknown("key", name, ["config"], where=where)
    config = entry.get("config")
    if not isinstance(config, Mapping):
        raise UserError(f'{where}: has no "config"; give {{"config": {{"name": …}}}}')
    return Scheme.from_config(config, where=f"{where}.config")


def _restricted(scheme: Scheme, layer: Layer) -> Scheme:
    """The scheme for a layer: without formats of tensors that it doesn't have."""
    left_out = {tensor: None for tensor in TENSORS if tensor not in layer.tensors}
    return for_layer(replace(scheme, **left_out), layer)
