"""The lab's pass for widths: multiplies the channels of layers by name; what lies between follows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from widthwise.core.errors import UserError, unknown
from widthwise.network.graph import Graph
from widthwise.network.layer import Layer
from widthwise.network.selection import By, by_of, matches
from widthwise.network.widths.changes import Change, grown, shrunk
from widthwise.network.widths.finding import find_groups
from widthwise.network.widths.groups import ELSEWHERE, Group, Groups, Member, node_name
from widthwise.network.widths.kinds import channel_count
from widthwise.network.widths.rebuild import changed_sides, rebuilt, reset
from widthwise.network.widths.resize import WEIGHTS, plan, recaptured
from widthwise.network.widths.unit_scores import unit_scores

NAMES = ("output_only", "both", "input_only")
MULTIPLIERS = ("channel_multiplier", "channel_multiplier_input", "channel_multiplier_output")
ARGUMENTS = ("config", "weights", "seed", "dummy_in")
SETTINGS = ("by", "default")  # of a config, beside its layers


def get_parent_name(target: str) -> tuple[str, str]:
    """The name of the module that holds a module, and its name in there: seq_blocks.2 is seq_blocks, 2."""
    parent, _, name = target.rpartition(".")
    return parent, name


def instantiate_linear(in_features: int, out_features: int, bias: Tensor | bool | None) -> nn.Linear:
    """A new linear layer, with a bias if another layer's is given; its weights come from the random state."""
    return nn.Linear(in_features, out_features, bias=bias is not None and bias is not False)


def redefine_linear_transform_pass(
    graph: Graph, pass_args: Mapping[str, Any] | None = None
) -> tuple[Graph, dict[str, Any]]:
    """A graph whose layers have multiples of their channels; the graph and the config given stay as they are.

    pass_args["config"] selects layers as the lab does: {"by": "name", "default": {"config": {"name": None}},
    "seq_blocks_2": {"config": {"name": "output_only", "channel_multiplier": 2}}, …}; `name` is output_only,
    input_only or both, and channel_multiplier_input and channel_multiplier_output may differ. Norms follow.
    pass_args may also have "weights" (scratch: layers of new sizes start anew, by default; inherit), "seed"
    and "dummy_in", an input. Raises UserError for names and multipliers that don't exist, and where a layer
    takes another number of channels than it is given, with both layers and sizes.
    """
    args = dict(pass_args or {})
    for key in args:
        if key not in ARGUMENTS:
            raise unknown("argument", key, ARGUMENTS, where="redefine_linear_transform_pass")
    weights, seed = args.get("weights", "scratch"), int(args.get("seed", 0))
    if weights not in WEIGHTS:
        raise unknown("way to take weights", weights, WEIGHTS)
    wanted = _wanted(graph, args.get("config"))
    if all(not (rule.input_changes or rule.output_changes) for rule in wanted.values()):
        return graph.copy(), {}
    dummy = args.get("dummy_in")
    groups = find_groups(graph, tuple(dummy.values()) if isinstance(dummy, Mapping) else dummy)
    sizes = _group_sizes(graph, groups, wanted)
    made = _resized(graph.network, groups, sizes, weights=weights, seed=seed)
    return recaptured(graph, made), {}


@dataclass(frozen=True)
class _Rule:
    """What a layer shall become: its sides' multipliers."""

    layer: str  # as the network names the module
    inputs: float = 1
    outputs: float = 1

    @property
    def input_changes(self) -> bool:
        return self.inputs != 1

    @property
    def output_changes(self) -> bool:
        return self.outputs != 1


def _wanted(graph: Graph, config: Any) -> dict[str, _Rule]:
    """Each selected layer's rule by the name of its module."""
    if not isinstance(config, Mapping):
        raise UserError(
            'redefine_linear_transform_pass: pass_args needs {"config": {…}} with a rule for each layer'
        )
    by = by_of(config.get("by", "name"), where="config.by", what="way to select layers")
    if config.get("default") is None:
        raise UserError(
            'config.default: is missing; leave other layers alone with {"config": {"name": None}}'
        )
    layers = [layer for layer in graph.layers if layer.module is not None]
    _check_keys(config, by, layers)
    rules = {}
    for layer in layers:
        key = next((key for key in config if key not in SETTINGS and _selects(key, by, layer)), "default")
        table = config[key].get("config") if isinstance(config[key], Mapping) else None
        if not isinstance(table, Mapping):
            raise UserError(f"config.{key}: needs a table config, as in {{'config': {{'name': 'both'}}}}")
        if table.get("name") not in (None, "NA") and _is_two_sided(layer, key):
            rules[str(layer.node.target)] = _rule(layer, table, f"config.{key}.config")
    return rules


def _check_keys(config: Mapping[str, Any], by: By, layers: list[Layer]) -> None:
    for key in config:
        if key not in SETTINGS and not any(_selects(key, by, layer) for layer in layers):
            names = {layer.type if by == "type" else layer.name for layer in layers}
            raise unknown("layer" if by != "type" else "layer type", key, names, where="config")


def _selects(key: str, by: By, layer: Layer) -> bool:
    return matches(key, by, names=(layer.name, str(layer.node.target)), kind=layer.type)


def _is_two_sided(layer: Layer, key: str) -> bool:
    """Whether the layer has inputs and outputs of its own; others follow their neighbours."""
    module = layer.module
    two_sided = isinstance(module, nn.Linear | nn.modules.conv._ConvNd)
    if not two_sided and key not in ("default", layer.type):
        raise UserError(
            f"config.{key}: {layer.name} is a {layer.type}, which follows the layer before it; leave it out"
        )
    return two_sided


def _rule(layer: Layer, table: Mapping[str, Any], where: str) -> _Rule:
    name = table["name"]
    if name not in NAMES:
        raise unknown("width change", name, NAMES, where=f"{where}.name")
    for key in table:
        if key not in ("name", *MULTIPLIERS):
            raise unknown("key", key, ["name", *MULTIPLIERS], where=where)
    common = table.get("channel_multiplier", 1)
    inputs = table.get("channel_multiplier_input", common) if name != "output_only" else 1
    outputs = table.get("channel_multiplier_output", common) if name != "input_only" else 1
    for side, multiplier in (("in", inputs), ("out", outputs)):
        _check_multiplier(layer, side, multiplier, where)
    return _Rule(str(layer.node.target), inputs, outputs)


def _check_multiplier(layer: Layer, side: str, multiplier: Any, where: str) -> None:
    is_number = isinstance(multiplier, int | float) and not isinstance(multiplier, bool)
    if not is_number or not 0 < multiplier < math.inf:
        raise UserError(f"{where}: channel multiplier {multiplier!r} is no number above 0")
    assert layer.module is not None
    count = channel_count(layer.module, side) or 0
    if int(count * multiplier) < 1:
        raise UserError(
            f"{where}: channel multiplier {multiplier:g} leaves {layer.name} none of its {count} channels; "
            f"take at least {1 / count:.3g}"
        )


def _group_sizes(graph: Graph, groups: Groups, rules: Mapping[str, _Rule]) -> dict[str, int]:
    """The new size of each group that changes; raises UserError where layers want different ones."""
    modules = dict(graph.network.named_modules())
    for rule in rules.values():
        _check_free(graph, groups, rule)
    sizes = {}
    for group in groups.groups:
        demands = _demands(group, groups, rules, modules)
        given = next(owner for owner in group.producers if Member(owner, "out") in demands)
        size = demands[Member(given, "out")]
        for member, taken in demands.items():
            if taken != size:
                raise _mismatch(member, taken, given, size, group)
        if size != group.size:
            sizes[group.name] = size
    return sizes


def _demands(
    group: Group, groups: Groups, rules: Mapping[str, _Rule], modules: Mapping[str, nn.Module]
) -> dict[Member, int]:
    """How many units each side of a linear or convolutional layer shall have."""
    found = {}
    number = groups.index(group)
    for member in group.members:
        module = modules.get(member.owner)
        layout = groups.layouts[member]
        if not isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
            if member.owner in group.producers:
                found[member] = group.size
            continue
        rule = rules.get(member.owner, _Rule(member.owner))
        multiplier = rule.inputs if member.side == "in" else rule.outputs
        each = int((layout.group == number).sum()) // group.size  # channels of a unit
        found[member] = int(each * group.size * multiplier) // each
    return found


def _check_free(graph: Graph, groups: Groups, rule: _Rule) -> None:
    """Raises UserError where a rule changes what has to stay: the network's inputs, outputs, fixed groups."""
    for side, changes in (("in", rule.input_changes), ("out", rule.output_changes)):
        layout = groups.layouts.get(Member(rule.layer, "in" if side == "in" else "out"))
        if not changes or (layout is not None and (layout.group != ELSEWHERE).any()):
            continue
        name = node_name(rule.layer)
        count = channel_count(graph.modules[rule.layer], side) or 0
        fixed = {known.name: known.reason for known in groups.fixed}
        if side == "in":
            raise UserError(
                f"{name} would take {int(count * rule.inputs)} channels but is given {count}, which are "
                "fixed: they come from the network's input or a layer that can't change; remove its input "
                "multiplier"
            )
        reason = fixed.get(rule.layer, "other layers rely on their number")
        raise UserError(f"{name}: its {count} outputs can't change: {reason}; remove its output multiplier")


def _mismatch(member: Member, taken: int, given: str, size: int, group: Group) -> UserError:
    key = "channel_multiplier_input" if member.side == "in" else "channel_multiplier_output"
    verb = "takes" if member.side == "in" else "gives"
    name = node_name(member.owner)
    return UserError(
        f"{name} {verb} {taken} channels but {node_name(given)} now gives {size}; set {key} = "
        f"{size / group.size:g} on {name}"
    )


def _resized(
    model: nn.Module, groups: Groups, sizes: Mapping[str, int], *, weights: str, seed: int
) -> nn.Module:
    if weights == "inherit":
        return rebuilt(model, groups, plan(model, groups, sizes, unit_scores(model, groups)), seed=seed)
    changes: dict[str, Change] = {}
    for name, size in sizes.items():
        group = groups[name]
        zeros = np.zeros(group.size)
        smaller = size <= group.size
        changes[name] = shrunk(group, size, zeros) if smaller else grown(group, size, zeros, split=True)
    made = rebuilt(model, groups, changes, seed=seed)
    modules = dict(made.named_modules())
    for number, owner in enumerate(dict.fromkeys(m.owner for m in changed_sides(groups, changes))):
        if owner in modules:
            reset(modules[owner], seed=seed + number)
    return made
