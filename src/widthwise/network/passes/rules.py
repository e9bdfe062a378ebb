"""Rules: which layers of a graph a config speaks of, by name, type or regular expression."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, cast

from widthwise.core.errors import UserError, nearest, unknown
from widthwise.network.graph import Graph, Layer

By = Literal["name", "type", "regex"]
BY: Mapping[str, By] = {"name": "name", "type": "type", "regex": "regex", "regex_name": "regex"}
DEFAULT = "default"


def by_of(value: object, *, where: str = "") -> By:
    """What rules go by; raises UserError for anything else."""
    if not isinstance(value, str) or value not in BY:
        raise unknown("way to select layers (by)", value, BY, where=where)
    return BY[value]


def select(graph: Graph, by: By, keys: Iterable[str], *, where: str = "") -> dict[str, str]:
    """Names of the layers that can be quantised, in execution order, each to the first key that selects it.

    "name": the node's name (seq_blocks_2) or the module's (seq_blocks.2); "type": the layer's type (linear);
    "regex": a regular expression that the whole of the node's name matches. Layers that no key selects take
    "default" where it is among the keys, or else are left out. Raises UserError for a key that selects none.
    """
    keys = list(keys)
    layers = [layer for layer in graph.layers if layer.tensors]
    rules = [key for key in keys if key != DEFAULT]
    place = f"{where}." if where else ""
    for key in rules:
        if by == "regex":
            _check_pattern(key, place)
        if not any(_matches(key, layer, by) for layer in layers):
            raise UserError(f"{place}{key}: {_why_none(key, by, graph, layers)}")
    found = {}
    for layer in layers:
        key = next((rule for rule in rules if _matches(rule, layer, by)), DEFAULT)
        if key != DEFAULT or DEFAULT in keys:
            found[layer.name] = key
    return found


def _check_pattern(pattern: str, place: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise UserError(f"{place}{pattern}: is no regular expression: {error}") from None


def _matches(key: str, layer: Layer, by: By) -> bool:
    if by == "type":
        return key == layer.type
    if by == "regex":
        return re.fullmatch(key, layer.name) is not None
    return key in (layer.name, layer.node.target)


def _why_none(key: str, by: By, graph: Graph, layers: Sequence[Layer]) -> str:
    """Why a key selects no layer, and what the user may have meant."""
    others = cast(tuple[By, ...], tuple(other for other in ("name", "type") if other != by))
    for other in others:
        if any(_matches(key, layer, other) for layer in layers):
            return f'matches no layer by {by}, but one by {other}; set by = "{other}"'
    allowed = sorted({layer.type if by == "type" else layer.name for layer in layers})
    if by != "regex" and any(_matches(key, layer, by) for layer in graph.layers):
        return f"can't be quantised; {by}s that can be: {_listed(allowed)}"
    close = nearest(key, allowed)
    hint = f"did you mean {close}? " if close else ""
    return (
        f"matches no layer by {by}; {hint}{by if by == 'type' else 'name'}s that can be: {_listed(allowed)}"
    )


def _listed(names: Sequence[str], most: int = 12) -> str:
    rest = len(names) - most
    return (", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")) or "none"
