"""Groups of channels that change together, and the sides of the layers where they lie."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import nn

from widthwise.core.arrays import IntArray
from widthwise.core.errors import UserError, unknown
from widthwise.network.widths.attributes import Attribute, attributes_of
from widthwise.network.widths.coupling import Coupling, Member, ParameterAxis
from widthwise.network.widths.following import OUTPUTS
from widthwise.network.widths.kinds import blocks, can_resize, is_recurrent

__all__ = ["ELSEWHERE", "Fixed", "Group", "Groups", "Layout", "Member", "group_channels", "node_name"]

ELSEWHERE = -1  # a channel that belongs to no group


@dataclass(frozen=True)
class Group:
    """Channels that only change together: `size` units in `blocks` equal blocks.

    A resized group has the same number of units in each block. `producers` make the channels; any of their
    names stands for the group, which is called after the first.
    """

    name: str
    size: int
    blocks: int
    producers: tuple[str, ...]
    members: tuple[Member, ...]

    def nearest_size(self, size: float) -> int:
        """The allowed size that is nearest."""
        return max(1, round(size / self.blocks)) * self.blocks


@dataclass(frozen=True)
class Fixed:
    """Channels that can't be resized, and why."""

    name: str
    size: int
    reason: str


@dataclass(frozen=True, eq=False)
class Layout:
    """Which unit of which group each channel of a side is, [channels] each; ELSEWHERE: of none."""

    group: IntArray
    unit: IntArray


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups of a network in the order of execution, what is fixed, and where the channels lie.

    parameter_axes: the axis of the channels in parameters that belong to no layer. attributes: numbers that
    modules' own code reads, which change with a group. averaged: names of groups over whose channels code of
    the network's own takes a mean, as a norm does.
    """

    groups: tuple[Group, ...]
    fixed: tuple[Fixed, ...]
    layouts: Mapping[Member, Layout]
    parameter_axes: Mapping[Member, ParameterAxis]
    attributes: tuple[Attribute, ...] = ()
    averaged: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> Group:
        """The group of this name, of a producer or its node; raises UserError where there is none."""
        for group in self.groups:
            if any(name in (known, node_name(known)) for known in group.producers):
                return group
        for fixed in self.fixed:
            if name in (fixed.name, node_name(fixed.name)):
                raise UserError(f"{name}: its channels can't be resized: {fixed.reason}")
        raise unknown("group", name, [group.name for group in self.groups])

    def index(self, group: Group) -> int:
        """The position of a group, as layouts name it."""
        return self.groups.index(group)

    def without(self, refused: Mapping[str, str]) -> Groups:
        """The groups but for those refused, by name with the reason."""
        kept = [group for group in self.groups if group.name not in refused]
        numbers = {self.index(group): number for number, group in enumerate(kept)}
        numbers_of = np.array([*(numbers.get(old, ELSEWHERE) for old in range(len(self.groups))), ELSEWHERE])
        layouts = {
            member: Layout(numbers_of[layout.group], layout.unit) for member, layout in self.layouts.items()
        }
        fixed = [Fixed(g.name, g.size, refused[g.name]) for g in self.groups if g.name in refused]
        attributes = tuple(known for known in self.attributes if known.group not in refused)
        return Groups(
            tuple(kept), (*self.fixed, *fixed), layouts, self.parameter_axes, attributes, self.averaged
        )


def node_name(target: str) -> str:
    """The name of the node that calls a module, as torch.fx writes it: seq_blocks.2 is seq_blocks_2."""
    return target.replace(".", "_")


def group_channels(model: nn.Module, coupling: Coupling) -> Groups:
    """The groups that a coupling makes; whether they are right is not checked yet (see `finding`)."""
    components = _components(model, coupling)
    units = [_units(component, coupling) for component in components]
    layouts = _layouts(coupling, units)
    groups, refused = [], {}
    for number, component in enumerate(components):
        members = tuple(member for member, layout in layouts.items() if (layout.group == number).any())
        group = Group(component[0], len(units[number]), 1, tuple(component), members)
        try:
            group = _with_blocks(group, number, layouts, model)
            _check(group, units[number], model, coupling)
        except _RefusedError as reason:
            refused[group.name] = str(reason)
        groups.append(group)
    named = {group.name: classes for group, classes in zip(groups, units, strict=True)}
    attributes = attributes_of(model, coupling, named)
    averaged = frozenset(
        n for n, classes in named.items() if not coupling.averaged.isdisjoint(classes.tolist())
    )
    found = Groups(tuple(groups), (), layouts, coupling.parameter_axes, attributes, averaged)
    return found.without(refused)


class _RefusedError(Exception):
    """Why a group can't be resized."""


def _components(model: nn.Module, coupling: Coupling) -> list[list[str]]:
    """Producers that share channels, in the order of the first of each.

    An axis of a parameter that shares its channels with nothing, as that of positions, is none.
    """
    names = list(coupling.producers)
    first: dict[int, int] = {}
    linked = [(at, first.setdefault(int(c), at)) for at, n in enumerate(names) for c in coupling.producers[n]]
    labels = _connected(len(names), linked)
    components: dict[int, list[str]] = {}
    for name, label in zip(names, labels, strict=True):
        components.setdefault(int(label), []).append(name)
    modules = dict(model.named_modules())
    return [c for c in components.values() if any(name in modules for name in c) or _is_shared(c, coupling)]


def _is_shared(component: Sequence[str], coupling: Coupling) -> bool:
    classes = np.concatenate([coupling.producers[name] for name in component])
    sides = {(m.owner, m.side) for m, found in coupling.sides.items() if np.isin(found, classes).any()}
    return len(sides) > 1


def _connected(count: int, pairs: Sequence[tuple[int, int]]) -> IntArray:
    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    edges = coo_matrix((np.ones(len(ends), dtype=bool), (ends[:, 0], ends[:, 1])), shape=(count, count))
    found: IntArray = connected_components(edges, directed=False)[1]
    return found


def _units(component: Sequence[str], coupling: Coupling) -> IntArray:
    """The classes of the component's channels, in the order in which its producers have them."""
    every = np.concatenate([coupling.producers[name] for name in component])
    classes, first = np.unique(every, return_index=True)
    return classes[np.argsort(first)]


def _layouts(coupling: Coupling, units: Sequence[IntArray]) -> dict[Member, Layout]:
    """The layout of each side that a group reaches."""
    count = 1 + max((int(side.max()) for side in coupling.sides.values()), default=0)
    group, unit = np.full(count, ELSEWHERE), np.full(count, ELSEWHERE)
    for number, classes in enumerate(units):
        group[classes], unit[classes] = number, np.arange(len(classes))
    layouts = {member: Layout(group[side], unit[side]) for member, side in coupling.sides.items()}
    return {member: layout for member, layout in layouts.items() if (layout.group != ELSEWHERE).any()}


def _with_blocks(group: Group, number: int, layouts: Mapping[Member, Layout], model: nn.Module) -> Group:
    """The group with as many blocks as its layers need together."""
    modules = dict(model.named_modules())
    needed = [1]
    for member in group.members:
        layout = layouts[member]
        units = layout.unit[layout.group == number]
        needed.append(group.size // math.gcd(group.size, int(units.min()), int(units.max()) + 1))
        module = modules.get(member.owner)
        count = 1 if module is None else blocks(module)
        if count > 1:
            needed.append(_unit_blocks(group, layout, count, f"{member.owner} ({type(module).__name__})"))
    return Group(group.name, group.size, math.lcm(*needed), group.producers, group.members)


def _unit_blocks(group: Group, layout: Layout, count: int, layer: str) -> int:
    """How many blocks of units a layer's blocks of channels are."""
    if len(set(layout.group.tolist())) > 1:
        raise _RefusedError(f"{layer} divides its channels and those of others into {count} parts")
    of_channel = np.arange(len(layout.unit)) // (len(layout.unit) // count)
    found = np.full(group.size, ELSEWHERE)
    found[layout.unit] = of_channel
    if group.size % count or (found != np.arange(group.size) // (group.size // count)).any():
        raise _RefusedError(f"the {count} parts of {layer} don't divide its {group.size} channels evenly")
    return count


def _check(group: Group, units: IntArray, model: nn.Module, coupling: Coupling) -> None:
    modules = dict(model.named_modules())
    for member in group.members:
        module = modules.get(member.owner)
        if module is not None and not can_resize(module):
            kind = type(module).__name__
            raise _RefusedError(
                f"they go through {member.owner or 'the network'} ({kind}), which can't be resized"
            )
    reasons = [coupling.fixed[int(number)] for number in units if int(number) in coupling.fixed]
    if reasons:
        raise _RefusedError(OUTPUTS if OUTPUTS in reasons else reasons[0])
    if not any(_reads(member, modules.get(member.owner)) for member in group.members):
        raise _RefusedError("no layer reads them")


def _reads(member: Member, module: nn.Module | None) -> bool:
    if module is None:
        return True
    return member.side == "in" or isinstance(module, nn.MultiheadAttention) or is_recurrent(module)
