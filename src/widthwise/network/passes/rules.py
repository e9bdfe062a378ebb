"""Rules: which layers of a graph a config speaks of, by name, type or regular expression."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from widthwise.core.errors import UserError, nearest
from widthwise.network.graph import Graph, Layer
from widthwise.network.selection import DEFAULT, By, check_pattern, matches


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
            check_pattern(key, where=where or "rules")
        if not any(_matches(key, layer, by) for layer in layers):
            raise UserError(f"{place}{key}: {_why_none(key, by, graph, layers)}")
    _check_reach(graph, by, rules, place)
    found = {}
    for layer in layers:
        key = next((rule for rule in rules if _matches(rule, layer, by)), DEFAULT)
        if key != DEFAULT or DEFAULT in keys:
            found[layer.name] = key
    return found


def _check_reach(graph: Graph, by: By, rules: Iterable[str], place: str) -> None:
    """Raises UserError for a rule for layers that formats do not reach."""
    for key in rules:
        for layer in graph.unreached:
            names = (layer.name.replace(".", "_"), layer.name)
            if matches(key, by, names=names, kind=layer.type):
                raise UserError(f"{place}{key}: {layer.name} ({layer.type}) can't be quantised: it {layer.reason}")


def _matches(key: str, layer: Layer, by: By) -> bool:
    return matches(key, by, names=(layer.name, str(layer.node.target)), kind=layer.type)


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
