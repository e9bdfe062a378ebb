"""The width space: how many channels each group of a network may have."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from widthwise.core.arrays import IntArray
from widthwise.core.errors import UserError, unknown
from widthwise.data.modules import Data
from widthwise.network.graph import Graph
from widthwise.network.layers import layer_type
from widthwise.network.selection import WidthBy, matches
from widthwise.network.widths.finding import find_groups
from widthwise.network.widths.groups import Group, Groups, node_name
from widthwise.spaces.space import Decision, Space

WidthKind = Literal["channel_multiplier", "channels"]
Choices = Sequence[float] | Mapping[str, Sequence[float]]
EVERY = "default"


@dataclass(frozen=True)
class SizeLimits:
    """Which sizes are allowed: multiples of round_to from minimum to maximum."""

    round_to: int = 1
    minimum: int = 1
    maximum: int | None = None

    def __post_init__(self) -> None:
        for name in ("round_to", "minimum", "maximum"):
            value = getattr(self, name)
            if name == "maximum" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UserError(f"{name} = {value!r} is no whole number from 1")
        if self.maximum is not None and self.maximum < self.minimum:
            raise UserError(f"maximum = {self.maximum} is below minimum = {self.minimum}")


@dataclass(frozen=True)
class GroupChoice:
    """What a group may become: the column of its decision, and its size for each choice."""

    group: str
    kind: WidthKind
    column: int
    sizes: tuple[int, ...]


class WidthSpace(Space):
    """How many channels each group of a graph may have; groups without a decision stay as they are.

    Args:
        graph: the network. groups: its groups, if found already; else `example` (an input, or data to take
            one from) helps to find them.
        by: "all": one decision for all groups; else one each, and keys select them by the "name" of a layer
            that makes their channels, by its "type", or by a "regex" that matches the node's whole name.
        multipliers, sizes: what may be chosen, as factors of the group's size or as numbers of channels: a
            sequence for every group, or one for each key; "default" is for the groups that no key selects.
        round_to: sizes from multipliers are rounded to the nearest multiple. minimum, maximum: bounds.

    Raises UserError for multipliers that give no channels, unknown groups, and sizes that a group can't have.
    """

    groups: Groups
    choices: tuple[GroupChoice, ...]
    by: WidthBy
    unused: tuple[str, ...]  # rules for types where groups go by name, or the other way round: left out

    def __init__(
        self,
        graph: Graph,
        *,
        by: WidthBy = "name",
        multipliers: Choices | None = None,
        sizes: Choices | None = None,
        round_to: int = 1,
        minimum: int = 1,
        maximum: int | None = None,
        groups: Groups | None = None,
        example: Data | Tensor | Sequence[Any] | None = None,
    ) -> None:
        found = groups if groups is not None else find_groups(graph, example)
        if not found.groups:
            reasons = "; ".join(f"{fixed.name}: {fixed.reason}" for fixed in found.fixed)
            raise UserError(f"no group of channels can be resized: {reasons or 'there are no layers'}")
        limits = SizeLimits(round_to, minimum, maximum)
        rules = {**_rules("channel_multiplier", multipliers), **_rules("channels", sizes)}
        if not rules:
            raise UserError("a width space needs multipliers or sizes, as in multipliers = [0.5, 1, 2]")
        unused = _inactive(graph, found, by, rules)
        rules = {key: rule for key, rule in rules.items() if key not in unused}
        if by == "all":
            decisions, choices = _together(found, rules, limits)
        else:
            decisions, choices = _one_each(graph, found, by, rules, limits)
        super().__init__(decisions)
        object.__setattr__(self, "groups", found)
        object.__setattr__(self, "choices", choices)
        object.__setattr__(self, "by", by)
        object.__setattr__(self, "unused", unused)

    def without_rules(self, by: WidthBy, unused: tuple[str, ...]) -> WidthSpace:
        """The same space, made from rules that went `by` this and of which some were left out."""
        made = copy.copy(self)
        object.__setattr__(made, "by", by)
        object.__setattr__(made, "unused", unused)
        return made

    def sizes(self, candidate: ArrayLike) -> dict[str, int]:
        """The size of each group that has a decision, by its name, for one candidate [D]."""
        indices = np.asarray(candidate, dtype=np.int64)
        return {choice.group: choice.sizes[indices[choice.column]] for choice in self.choices}

    def size_table(self, candidates: IntArray) -> IntArray:
        """The sizes of all groups that have a decision, [K, groups], for candidates [K, D]."""
        columns = [np.array(c.sizes, dtype=np.int64)[candidates[:, c.column]] for c in self.choices]
        return np.stack(columns, axis=1)

    def config(self, candidate: ArrayLike) -> dict[str, dict[str, Any]]:
        """The channels and multiplier of each group with a decision, by node name, for one candidate [D]."""
        return {
            node_name(name): {"channels": size, "channel_multiplier": size / self.groups[name].size}
            for name, size in self.sizes(candidate).items()
        }

    @property
    def smallest(self) -> dict[str, int]:
        """Every group at its least size."""
        return {choice.group: min(choice.sizes) for choice in self.choices}

    @property
    def largest(self) -> dict[str, int]:
        """Every group at its greatest size."""
        return {choice.group: max(choice.sizes) for choice in self.choices}


Rules = Mapping[str, tuple[WidthKind, tuple[Any, ...]]]


def _rules(kind: WidthKind, given: Choices | None) -> dict[str, tuple[WidthKind, tuple[Any, ...]]]:
    if given is None:
        return {}
    tables = given if isinstance(given, Mapping) else {EVERY: given}
    for key, choices in tables.items():
        if not len(choices):
            raise UserError(f"{key}: has no {kind}s to choose from; give at least one")
    return {key: (kind, tuple(choices)) for key, choices in tables.items()}


def _together(
    groups: Groups, rules: Rules, limits: SizeLimits
) -> tuple[tuple[Decision, ...], tuple[GroupChoice, ...]]:
    """One decision for all groups; choices at which no group differs from an earlier one are left out."""
    if len(rules) != 1:
        raise UserError(f'by = "all" takes one list of choices; found {", ".join(rules)}')
    kind, values = next(iter(rules.values()))
    rows = [tuple(_size(group, kind, value, limits) for group in groups.groups) for value in values]
    first = [number for number, row in enumerate(rows) if row not in rows[:number]]
    decision = Decision(f"all/{kind}", tuple(values[number] for number in first))
    choices = [
        GroupChoice(group.name, kind, 0, tuple(rows[number][at] for number in first))
        for at, group in enumerate(groups.groups)
    ]
    return (decision,), tuple(choices)


def _one_each(
    graph: Graph, groups: Groups, by: WidthBy, rules: Rules, limits: SizeLimits
) -> tuple[tuple[Decision, ...], tuple[GroupChoice, ...]]:
    decisions: list[Decision] = []
    choices = []
    for group, (kind, values) in _selected(graph, groups, by, rules):
        sizes = [_size(group, kind, value, limits) for value in values]
        first = [number for number, size in enumerate(sizes) if size not in sizes[:number]]
        kept = tuple(values[number] for number in first)
        choices.append(GroupChoice(group.name, kind, len(decisions), tuple(sizes[n] for n in first)))
        decisions.append(Decision(f"{node_name(group.name)}/{kind}", kept))
    return tuple(decisions), tuple(choices)


def _selected(
    graph: Graph, groups: Groups, by: WidthBy, rules: Rules
) -> list[tuple[Group, tuple[WidthKind, tuple[Any, ...]]]]:
    """The groups that have a rule, each with the first that selects it."""
    modules = graph.modules
    named: dict[str, tuple[WidthKind, tuple[Any, ...]]] = {}
    for key, rule in rules.items():
        if key == EVERY:
            continue
        matching = _matching(key, by, groups, modules)
        for group in matching:
            named.setdefault(group.name, rule)
    default = rules.get(EVERY)
    found = [(group, named.get(group.name, default)) for group in groups.groups]
    return [(group, rule) for group, rule in found if rule is not None]


def _inactive(graph: Graph, groups: Groups, by: WidthBy, rules: Rules) -> tuple[str, ...]:
    """Keys that select no group by this way, but some by type or by name; none where no key would be left."""
    modules = graph.modules
    keys = [key for key in rules if key != EVERY]
    if by == "all" or by not in ("name", "type", "regex"):
        return ()

    def selects(key: str, way: WidthBy) -> bool:
        return any(_makes(group, key, way, modules) for group in groups.groups)

    found = tuple(
        key for key in keys if not selects(key, by) and (selects(key, "name") or selects(key, "type"))
    )
    return found if EVERY in rules or len(found) < len(keys) else ()


def _makes(group: Group, key: str, by: WidthBy, modules: Mapping[str, Any]) -> bool:
    """Whether a key speaks of a layer that makes the group's channels."""
    return any(
        matches(key, by, names=(node_name(producer), producer), kind=_kind(producer, modules))
        for producer in group.producers
    )


def _kind(producer: str, modules: Mapping[str, Any]) -> str:
    module = modules.get(producer)
    return "parameter" if module is None else layer_type(module)


def _matching(key: str, by: WidthBy, groups: Groups, modules: Mapping[str, Any]) -> list[Group]:
    """The groups that a key selects; raises UserError where there are none."""
    if by == "name":
        return [groups[key]]
    if by not in ("type", "regex"):
        raise unknown("way to select groups", by, ["all", "name", "type", "regex"])
    matching = [group for group in groups.groups if _makes(group, key, by, modules)]
    if not matching:
        makers = [producer for group in groups.groups for producer in group.producers]
        seen = {_kind(name, modules) if by == "type" else node_name(name) for name in makers}
        raise unknown("layer type with groups" if by == "type" else "group that matches", key, seen)
    return matching


def _size(group: Group, kind: WidthKind, value: Any, limits: SizeLimits) -> int:
    """The size of a group for one choice; raises UserError where it can't have that."""
    name = node_name(group.name)
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not 0 < value < math.inf:
        raise UserError(f"{name}: {kind} = {value!r} is no number above 0")
    if kind == "channels":
        if value != int(value):
            raise UserError(f"{name}: channels = {value!r} is no whole number")
        size = int(value)
    else:
        size = _multiplied(group, float(value), limits)
    if size % group.blocks:
        raise UserError(
            f"{name}: can't have {size} channels ({kind} = {value:g}): its layers divide them into "
            f"{group.blocks} equal parts; the nearest that works is {group.nearest_size(size)}"
        )
    if size < limits.minimum or (limits.maximum is not None and size > limits.maximum):
        bounds = f"from {limits.minimum}" + ("" if limits.maximum is None else f" to {limits.maximum}")
        raise UserError(f"{name}: {size} channels ({kind} = {value:g}) are not {bounds}; change one of them")
    return size


def _multiplied(group: Group, multiplier: float, limits: SizeLimits) -> int:
    """The size times the multiplier: rounded to round_to, and kept within the limits."""
    plain = group.size * multiplier
    if int(plain + 1e-9) < 1:
        raise UserError(
            f"{node_name(group.name)}: channel_multiplier = {multiplier:g} leaves none of its {group.size} "
            f"channels; take at least {1 / group.size:.3g}"
        )
    if limits.round_to == 1:
        size = int(plain + 1e-9)  # as the lab's int(channels * multiplier), but for the error of a float
    else:
        size = max(1, round(plain / limits.round_to)) * limits.round_to
    size = max(size, limits.minimum)
    return size if limits.maximum is None else min(size, limits.maximum)
