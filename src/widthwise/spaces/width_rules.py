"""The width space that a config describes: the lab's rules by layer, as choices by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from widthwise.core.errors import UserError, unknown
from widthwise.data.modules import Data
from widthwise.network.graph import Graph
from widthwise.network.layers import layer_type
from widthwise.network.selection import WidthBy, matches
from widthwise.network.widths.finding import find_groups
from widthwise.network.widths.groups import Groups, Member, node_name
from widthwise.spaces.reading import is_float
from widthwise.spaces.settings import ALL, SeedRule, WidthSearch
from widthwise.spaces.width import EVERY, WidthSpace

PLACE = "search.search_space.seed"
UNSET = ("NA", None)
INPUT = "channel_multiplier_input"
WAYS: tuple[WidthBy, ...] = ("name", "type")


@dataclass(frozen=True)
class _Demand:
    """What a layer's rule wants a group to become."""

    layer: str
    kind: str  # channel_multiplier or channels
    choices: tuple[Any, ...]


def width_space(
    graph: Graph,
    search: WidthSearch,
    *,
    groups: Groups | None = None,
    example: Data | Tensor | Sequence[Any] | None = None,
) -> WidthSpace:
    """The space that a config's rules describe.

    A rule is about its layer's outputs, or, as its `name` says (input_only, both), about its inputs: those
    belong to the group of the layer before, so both must want the same, which is then one decision. Raises
    UserError where they don't, for layers that don't exist, and for channels that can't change.
    """
    found = groups if groups is not None else find_groups(graph, example)
    modules = _with_channels(graph)
    unused = _inactive(search, modules)
    limits = {"round_to": search.round_to, "minimum": search.minimum, "maximum": search.maximum}
    options: dict[str, Any] = {**limits, "groups": found}
    default = None if search.default is None else _choices(search.default, "output")
    if search.by == "all":
        if default is None:
            raise UserError(f"{PLACE}.default: has no choices; give channel_multiplier = [1, 2]")
        made = WidthSpace(graph, by="all", **_tables({EVERY: default}, every=True), **options)
        return made.without_rules(search.by, unused)
    demands = _demands(modules, found, replace(search, rules=_active(search, unused)))
    if default is not None:
        demands[EVERY] = default
    if not demands:
        raise UserError(f"{PLACE}: no rule changes the channels of a layer; give channel_multiplier = [1, 2]")
    made = WidthSpace(graph, by="name", **_tables(demands, every=False), **options)
    return made.without_rules(search.by, unused)


def _tables(demands: Mapping[str, _Demand], *, every: bool) -> dict[str, Any]:
    """The demands as WidthSpace takes them."""
    tables: dict[str, dict[str, tuple[Any, ...]]] = {"multipliers": {}, "sizes": {}}
    for group, demand in demands.items():
        tables["sizes" if demand.kind == "channels" else "multipliers"][group] = demand.choices
    found = {key: table for key, table in tables.items() if table}
    return {key: table[EVERY] for key, table in found.items()} if every else found


def _with_channels(graph: Graph) -> dict[str, nn.Module]:
    """The modules that rules may speak of, by name."""
    kinds = nn.Linear | nn.modules.conv._ConvNd | nn.Embedding | nn.MultiheadAttention
    return {name: module for name, module in graph.modules.items() if isinstance(module, kinds)}


def _active(search: WidthSearch, unused: tuple[str, ...]) -> tuple[SeedRule, ...]:
    return tuple(rule for rule in search.rules if rule.key not in unused)


def _inactive(search: WidthSearch, modules: Mapping[str, nn.Module]) -> tuple[str, ...]:
    """Keys of rules for another `by`: of types where layers go by name, of names where they go by type.

    None where nothing would be left, and any key of neither where all groups change together: then it is a
    UserError.
    """
    if search.by == "all":
        for rule in search.rules:
            if not any(_found(rule.key, by, modules) for by in WAYS):
                known = {node_name(name) for name in modules} | {layer_type(m) for m in modules.values()}
                raise unknown("layer or layer type with channels", rule.key, known, where=PLACE)
        return tuple(rule.key for rule in search.rules)
    found = tuple(
        rule.key
        for rule in search.rules
        if not _found(rule.key, search.by, modules)
        and (rule.key == ALL or any(_found(rule.key, by, modules) for by in WAYS))
    )
    alone = search.default is not None and not is_float(search.default)
    return found if alone or len(found) < len(search.rules) else ()


def _demands(modules: Mapping[str, nn.Module], groups: Groups, search: WidthSearch) -> dict[str, _Demand]:
    """What each group's layers want of it; raises UserError where two want different things."""
    outputs: dict[str, _Demand] = {}
    inputs: list[tuple[str, _Demand]] = []
    for rule in search.rules:
        layers = _selected(rule.key, search.by, modules)
        wanted = [(layer, side, demand) for layer in layers for side, demand in _sides(rule, layer)]
        applied = [_group(groups, layer, side, search.by, rule) for layer, side, _ in wanted]
        if wanted and not any(applied):
            raise _applies_to_nothing(rule, layers, groups)
        for group, (_, side, demand) in zip(applied, wanted, strict=True):
            if group is not None and side == "out":
                _agree(outputs.setdefault(group, demand), demand)
            elif group is not None:
                inputs.append((group, demand))
    for group, demand in inputs:
        if group not in outputs:
            raise UserError(
                f"{PLACE}.{demand.layer}: takes other numbers of channels, but {node_name(group)}, which "
                f"gives them, has no rule; give {node_name(group)} channel_multiplier = "
                f"{list(demand.choices)}"
            )
        _agree(outputs[group], demand)
    return outputs


def _found(key: str, by: WidthBy, modules: Mapping[str, nn.Module]) -> list[str]:
    return [
        name
        for name, module in modules.items()
        if matches(key, by, names=(node_name(name), name), kind=layer_type(module))
    ]


def _selected(key: str, by: WidthBy, modules: Mapping[str, nn.Module]) -> list[str]:
    found = _found(key, by, modules)
    if not found:
        for other in WAYS:
            if _found(key, other, modules):
                raise UserError(
                    f'{PLACE}.{key}: matches no layer by {by}, but one by {other}; set by = "{other}"'
                )
        named = by in ("name", "regex")
        allowed = {node_name(name) if named else layer_type(module) for name, module in modules.items()}
        raise unknown("layer with channels" if named else "layer type", key, allowed, where=PLACE)
    return found


def _sides(rule: SeedRule, layer: str) -> list[tuple[str, _Demand]]:
    """What a rule says about a layer's two sides."""
    fields = dict(rule.fields)
    names = {name for name in fields.get("name", ()) if name not in UNSET}
    if len(names) > 1:
        raise UserError(f"{PLACE}.{rule.key}.config.name: {sorted(names)} can't all be; give one of them")
    name = next(iter(names), None)
    if name is None and "name" in fields:
        return []
    _check_sides(rule, name)
    found = []
    if name != "input_only" and fields.keys() & {
        "channels",
        "channel_multiplier",
        "channel_multiplier_output",
    }:
        found.append(("out", _choices(rule, "output", layer=layer)))
    reads = name in ("both", "input_only") or (name is None and INPUT in fields)
    if reads and fields.keys() & {"channel_multiplier", INPUT}:
        found.append(("in", _choices(rule, "input", layer=layer)))
    return found


def _check_sides(rule: SeedRule, name: str | None) -> None:
    """Raises UserError for a key that is about a side which the rule's name leaves out."""
    left_out = {"input_only": ("channel_multiplier_output", "channels"), "output_only": (INPUT,)}
    for key, choices in rule.fields:
        if key in left_out.get(str(name), ()) and any(choice not in UNSET for choice in choices):
            found = (
                f'{PLACE}.{rule.key}.config.{key}: applies to nothing: name = "{name}" leaves that side out'
            )
            raise UserError(f'{found}; leave the key out or take name = "both"')


def _applies_to_nothing(rule: SeedRule, layers: Sequence[str], groups: Groups) -> UserError:
    reasons = {fixed.name: f" ({fixed.reason})" for fixed in groups.fixed}
    named = ", ".join(f"{node_name(layer)}{reasons.get(layer, '')}" for layer in layers)
    found = f"{PLACE}.{rule.key}: applies to nothing: the channels of {named} can't change"
    return UserError(f"{found}; leave the rule out")


def _choices(rule: SeedRule, side: str, *, layer: str | None = None) -> _Demand:
    fields = dict(rule.fields)
    kind, field = "channel_multiplier", f"channel_multiplier_{side}"
    if field not in fields:
        field = "channel_multiplier"
    if field not in fields and "channels" in fields:
        kind = field = "channels"
    choices = [1 if choice in UNSET else choice for choice in fields.get(field, (1,))]
    if any(name in UNSET for name in fields.get("name", ())) and kind == "channel_multiplier":
        choices = [1, *choices]
    return _Demand(node_name(layer or rule.key), kind, tuple(dict.fromkeys(choices)))


def _group(groups: Groups, layer: str, side: str, by: WidthBy, rule: SeedRule) -> str | None:
    """The group that a layer's side belongs to; None, or by name UserError, where it can't change."""
    member = Member(layer, "in" if side == "in" else "out")
    for group in groups.groups:
        if member in group.members and (side == "in" or layer in group.producers):
            return group.name
    if by != "name":
        return None
    if side == "in":
        raise UserError(
            f"{PLACE}.{rule.key}: the inputs of {node_name(layer)} can't change: they come from the "
            "network's input or from layers that are fixed; take output_only"
        )
    reason = next((f.reason for f in groups.fixed if f.name == layer), "other layers rely on their number")
    raise UserError(f"{PLACE}.{rule.key}: the outputs of {node_name(layer)} can't change: {reason}")


def _agree(first: _Demand, second: _Demand) -> None:
    if (first.kind, first.choices) != (second.kind, second.choices):
        raise UserError(
            f"{PLACE}: {first.layer} and {second.layer} share channels, but {first.layer} gives "
            f"{first.kind} {list(first.choices)} and {second.layer} takes {second.kind} "
            f"{list(second.choices)}; give both the same, in the same order"
        )
