"""Rules: which layers of a graph a config speaks of by name, type or pattern, and what of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, cast

from widthwise.core.errors import UserError, nearest
from widthwise.formats.base import UNSET
from widthwise.network.graph import Graph
from widthwise.network.layer import Layer
from widthwise.network.scheme import tensor_fields
from widthwise.network.selection import DEFAULT, By, check_pattern, matches


def select(graph: Graph, by: By, keys: Iterable[str], *, where: str = "") -> dict[str, str]:
    """Names of the layers that can be quantised, in execution order, each to the first key that selects it.

    "name": the node's name (seq_blocks_2) or the module's (seq_blocks.2); "type": the layer's type (linear);
    "regex": a regular expression that the whole of the node's name matches. Layers that no key selects take
    "default" where it is among the keys, or else are left out. Raises UserError for a key that selects none.
    """
    keys = list(keys)
    layers = _quantisable(graph)
    rules = [key for key in keys if key != DEFAULT]
    place = f"{where}." if where else ""
    _check_reach(graph, by, rules, place)
    selects = _selector(by, layers)
    for key in rules:
        if by == "regex":
            check_pattern(key, where=where or "rules")
        if not any(selects(key, layer) for layer in layers):
            raise UserError(f"{place}{key}: {_why_none(key, by, graph, layers)}")
    found = {}
    for layer in layers:
        key = next((rule for rule in rules if selects(rule, layer)), DEFAULT)
        if key != DEFAULT or DEFAULT in keys:
            found[layer.name] = key
    for key in rules:
        if key not in found.values():
            named = [layer.name for layer in layers if selects(key, layer)]
            earlier = sorted({found[name] for name in named})
            taken = f"each layer that it matches ({_listed(named)}) has an earlier rule ({_listed(earlier)})"
            raise UserError(f"{place}{key}: applies to nothing: {taken}; leave one out or put {key} first")
    return found


def inactive(graph: Graph, by: By, keys: Iterable[str], *, alone: bool, where: str) -> tuple[str, ...]:
    """The keys that select no layer by this way, but some by type or by name: rules for another `by`.

    None of them where no rule but "default" would be left, and that may not stand `alone`: then `select` says
    what is wrong.
    """
    layers = _quantisable(graph)
    rules = [key for key in keys if key != DEFAULT]
    if by == "regex":
        for key in rules:
            check_pattern(key, where=where)
    found = tuple(key for key in rules if _other_way(key, by, layers) is not None)
    return found if alone or len(found) < len(rules) else ()


def of_folded(graph: Graph, by: By, keys: Iterable[str]) -> tuple[str, ...]:
    """The keys that select none of the graph's layers, but batch norms that were folded into these."""
    if graph.unfolded is None:
        return ()
    gone = {name for name, into in graph.folded.items() if into}
    before = [layer for layer in graph.unfolded.layers if layer.name in gone]
    left = _quantisable(graph)

    def any_of(layers: Sequence[Layer], key: str) -> bool:
        return any(map(partial(_selector(by, layers), key), layers))

    return tuple(key for key in keys if key != DEFAULT and not any_of(left, key) and any_of(before, key))


def check_keys_apply(
    rule: str, layers: Sequence[Layer], config: Mapping[str, Any], *, where: str = ""
) -> None:
    """Raises UserError for a key of the rule's config that is for a tensor which none of its layers has.

    config: values, or lists of choices; what is "NA" asks for nothing.
    """
    for tensor, keys in tensor_fields(config, where=where).items():
        if any(tensor in layer.tensors for layer in layers):
            continue
        name = f"{tensor}_name" if f"{tensor}_name" in keys else "name"
        asked = [key for key in keys if key != "name" and not _is_unset(config[key])]
        if asked and not (name in config and _is_unset(config[name])):
            selected = _listed(
                [f"{layer.name} ({layer.type}: {', '.join(layer.tensors)})" for layer in layers]
            )
            found = f"applies to nothing: no layer that {rule} selects has a {tensor}; it selects {selected}"
            place = f"{where}.{asked[0]}" if where else asked[0]
            raise UserError(found, where=place, advice="leave it out")


def _is_unset(value: Any) -> bool:
    choices = value if isinstance(value, list | tuple) else (value,)
    return all(choice in UNSET for choice in choices)


def _quantisable(graph: Graph) -> list[Layer]:
    return [layer for layer in graph.layers if layer.tensors]


def _check_reach(graph: Graph, by: By, rules: Iterable[str], place: str) -> None:
    """Raises UserError for a rule for layers that formats do not reach."""
    for key in rules:
        for layer in graph.unreached:
            names = (layer.name.replace(".", "_"), layer.name)
            if matches(key, by, names=names, kind=layer.type):
                raise UserError(
                    f"{place}{key}: {layer.name} ({layer.type}) can't be quantised: it {layer.reason}"
                )


def _selector(by: By, layers: Sequence[Layer]) -> Callable[[str, Layer], bool]:
    """Whether a key selects a layer of these; a name that is a module's path is for that module alone."""
    paths = frozenset(str(layer.node.target) for layer in layers) if by == "name" else frozenset()

    def selects(key: str, layer: Layer) -> bool:
        names = (str(layer.node.target),) if key in paths else (layer.name,)
        return matches(key, by, names=names, kind=layer.type)

    return selects


def _other_way(key: str, by: By, layers: Sequence[Layer]) -> By | None:
    """The way by which the key selects a layer, where it selects none by this one."""
    if any(map(partial(_selector(by, layers), key), layers)):
        return None
    others = cast(tuple[By, ...], tuple(other for other in ("name", "type") if other != by))
    return next((other for other in others if any(map(partial(_selector(other, layers), key), layers))), None)


def _why_none(key: str, by: By, graph: Graph, layers: Sequence[Layer]) -> str:
    """Why a key selects no layer, and what the user may have meant."""
    if (other := _other_way(key, by, layers)) is not None:
        return f'matches no layer by {by}, but one by {other}; set by = "{other}"'
    allowed = sorted({layer.type if by == "type" else layer.name for layer in layers})
    if by != "regex" and any(map(partial(_selector(by, graph.layers), key), graph.layers)):
        return f"can't be quantised; {by}s that can be: {_listed(allowed)}"
    close = nearest(key, allowed)
    hint = f"did you mean {close}? " if close else ""
    return (
        f"matches no layer by {by}; {hint}{by if by == 'type' else 'name'}s that can be: {_listed(allowed)}"
    )


def _listed(names: Sequence[str], most: int = 12) -> str:
    rest = len(names) - most
    return (", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")) or "none"
