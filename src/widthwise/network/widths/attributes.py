"""Numbers that a module's own code reads, as that of its heads, which change with a group of channels."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from widthwise.core.arrays import IntArray
from widthwise.network.widths.coupling import Coupling
from widthwise.network.widths.kinds import is_known

COUNT = re.compile(r"heads?$")  # num_heads, n_head, num_key_value_heads


@dataclass(frozen=True)
class Attribute:
    """A number that a module's code reads: so many for each unit of a group."""

    module: str
    name: str
    group: str
    each: int


def attributes_of(
    model: nn.Module, coupling: Coupling, groups: Mapping[str, IntArray]
) -> tuple[Attribute, ...]:
    """The attributes by which code gives tensors shapes that hold a group's units; groups: their classes.

    An attribute that would have to follow two groups follows none, and the check of the groups tells.
    """
    modules = dict(model.named_modules())
    found: dict[tuple[str, str], set[Attribute]] = {}
    readings, others = _readings(coupling, groups)
    for module, size, group in readings:
        if is_known(modules[module]):
            continue
        values = _integers(modules[module])
        for name in _names_read(type(modules[module])) & values.keys():
            # where something else has the same size, only the name can tell
            if values[name] == size and (COUNT.search(name) or (module, size) not in others):
                attribute = Attribute(module, name, group, size // len(groups[group]))
                found.setdefault((module, name), set()).add(attribute)
    return tuple(next(iter(known)) for known in found.values() if len(known) == 1)


Readings = dict[tuple[str, int, str], None]  # module, size and group, in the order of the run


def _readings(coupling: Coupling, groups: Mapping[str, IntArray]) -> tuple[Readings, set[tuple[str, int]]]:
    """Where a dimension's size is a multiple of a group's units, and modules' sizes of other dimensions."""
    owners = {int(number): name for name, classes in groups.items() for number in classes}
    found: Readings = {}
    others = {(module, size) for module, sizes in coupling.other_sizes.items() for size in sizes}
    for reading, classes in coupling.readings:
        group = owners.get(int(classes[0, 0]))
        if group is not None and _lie_in_turn(classes, groups[group]):
            found[reading.module, reading.size, group] = None
        else:
            others.add((reading.module, reading.size))
    return found, others


def _lie_in_turn(classes: IntArray, units: IntArray) -> bool:
    """Whether along a dimension, [places, what lies at each], a group's units lie one after the other."""
    first = classes[:, 0]
    each = len(first) // len(units)
    if len(first) != each * len(units) or not (classes == first[:, None]).all():
        return False
    blocks = first.reshape(len(units), each)
    return bool((blocks == blocks[:, :1]).all() and (np.sort(blocks[:, 0]) == np.sort(units)).all())


def _integers(module: nn.Module) -> dict[str, int]:
    values = vars(module)
    return {n: v for n, v in values.items() if isinstance(v, int) and not isinstance(v, bool) and v > 1}


def _names_read(kind: type[nn.Module]) -> set[str]:
    """The names that the code of a kind of module reads, but for making one."""
    names: set[str] = set()
    for parent in kind.__mro__:
        if parent is nn.Module:
            break
        for key, value in vars(parent).items():
            function = inspect.unwrap(value) if callable(value) else None
            if key != "__init__" and inspect.isfunction(function):
                names |= set(function.__code__.co_names)
    return names
