"""Groups of channels that change together, and the sides of the layers where they lie."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from widthwise.core.arrays import IntArray
from widthwise.core.errors import UserError, unknown
from widthwise.network.widths.coupling import Channel, Coupling, Side
from widthwise.network.widths.kinds import blocks, can_resize, channel_count

ELSEWHERE = -1  # a channel that belongs to no group


@dataclass(frozen=True)
class Member:
    """A layer's side ("in", or "out": also what a norm has), or a parameter of the network's own."""

    owner: str
    side: Side


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

    parameter_axes: the axis of the channels in parameters that belong to no layer.
    """

    groups: tuple[Group, ...]
    fixed: tuple[Fixed, ...]
    layouts: Mapping[Member, Layout]
    parameter_axes: Mapping[str, int]

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
        return Groups(tuple(kept), (*self.fixed, *fixed), layouts, self.parameter_axes)


def node_name(target: str) -> str:
    """The name of the node that calls a module, as torch.fx writes it: seq_blocks.2 is seq_blocks_2."""
    return target.replace(".", "_")


def group_channels(model: nn.Module, coupling: Coupling) -> Groups:
    """The groups that a coupling makes; whether they are right is not checked yet (see `finding`)."""
    components = _components(coupling)
    place = {  # class of channels to (group, unit)
        root: (number, unit)
        for number, component in enumerate(components)
        for unit, root in enumerate(_units(component, coupling))
    }
    layouts, beyond = _layouts(model, coupling, place)
    groups, refused = [], {}
    for number, component in enumerate(components):
        members = tuple(member for member, layout in layouts.items() if (layout.group == number).any())
        size = len(_units(component, coupling))
        group = Group(component[0], size, 1, tuple(component), members)
        try:
            group = _with_blocks(group, number, layouts, model)
            _check(group, number, model, coupling, beyond)
        except _RefusedError as reason:
            refused[group.name] = str(reason)
        groups.append(group)
    return Groups(tuple(groups), (), layouts, coupling.parameter_axes).without(refused)


class _RefusedError(Exception):
    """Why a group can't be resized."""


def _components(coupling: Coupling) -> list[list[str]]:
    """Producers that share channels, in the order of the first of each."""
    owner: dict[Channel, int] = {}
    components: list[list[str]] = []
    for name, count in coupling.producers.items():
        roots = {coupling.find(Channel(name, "out", index)) for index in range(count)}
        shared = sorted({owner[root] for root in roots if root in owner})
        number = shared[0] if shared else len(components)
        if not shared:
            components.append([])
        for other in shared[1:]:  # this producer links what were two groups
            components[number] += components[other]
            components[other] = []
            owner = {root: number if at == other else at for root, at in owner.items()}
        components[number].append(name)
        owner |= dict.fromkeys(roots, number)
    return [component for component in components if component]


def _units(component: Sequence[str], coupling: Coupling) -> list[Channel]:
    """The classes of the component's channels, in the order in which its producers have them."""
    found: dict[Channel, None] = {}
    for name in component:
        for index in range(coupling.producers[name]):
            found[coupling.find(Channel(name, "out", index))] = None
    return list(found)


def _layouts(
    model: nn.Module, coupling: Coupling, place: Mapping[Channel, tuple[int, int]]
) -> tuple[dict[Member, Layout], set[int]]:
    """The layout of each side that a group reaches; and groups with channels beyond the end of a side."""
    tensors = dict(model.named_parameters(remove_duplicate=False))
    modules = dict(model.named_modules())
    layouts: dict[Member, Layout] = {}
    beyond: set[int] = set()
    for channel in list(coupling.parent):
        number, unit = place.get(coupling.find(channel), (ELSEWHERE, ELSEWHERE))
        if not isinstance(channel.owner, str) or number == ELSEWHERE:
            continue
        member = Member(channel.owner, channel.side)
        if member not in layouts:
            if channel.owner in modules:
                count = channel_count(modules[channel.owner], channel.side) or 0
            else:
                count = tensors[channel.owner].shape[coupling.parameter_axes.get(channel.owner, -1)]
            layouts[member] = Layout(np.full(count, ELSEWHERE), np.full(count, ELSEWHERE))
        layout = layouts[member]
        if channel.place < len(layout.group):
            layout.group[channel.place], layout.unit[channel.place] = number, unit
        elif len(layout.group):  # else a layer without channels of its own, as PReLU with one slope
            beyond.add(number)
    return layouts, beyond


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


def _check(group: Group, number: int, model: nn.Module, coupling: Coupling, beyond: Iterable[int]) -> None:
    modules = dict(model.named_modules())
    for member in group.members:
        module = modules.get(member.owner)
        if module is not None and not can_resize(module):
            kind = type(module).__name__
            raise _RefusedError(f"they go through {member.owner} ({kind}), which can't be resized")
    if number in beyond:
        raise _RefusedError("torch-pruning doesn't follow them through a change of shape")
    units = set(_units(group.producers, coupling))
    reached = {
        coupling.find(channel) for channel in list(coupling.parent) if channel.owner in coupling.outputs
    }
    read = any(member.side == "in" for member in group.members)
    attention = any(isinstance(modules.get(m.owner), nn.MultiheadAttention) for m in group.members)
    if reached & units or not (read or attention):
        raise _RefusedError("they are outputs of the network")
