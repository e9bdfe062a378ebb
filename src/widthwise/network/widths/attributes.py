"""Numbers that a module's own code reads, as that of its heads, which change with a group of channels."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
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
    owners = {int(number): name for name, classes in groups.items() for number in classes}
    found: dict[tuple[str, str], set[Attribute]] = {}
    for module, size, group in _readings(coupling, owners, groups):
        if is_known(modules[module]):
            continue
        read = _names_read(type(modules[module]))
        for name in read & _integers(modules[module]).keys():
            if _integers(modules[module])[name] == size:
                attribute = Attribute(module, name, group, size // len(groups[group]))
                found.setdefault((module, name), set()).add(attribute)
    return tuple(next(iter(known)) for known in found.values() if len(known) == 1)


def _readings(
    coupling: Coupling, owners: Mapping[int, str], groups: Mapping[str, IntArray]
) -> Iterator[tuple[str, int, str]]:
    """Module, size and group wherever the size of a dimension is a multiple of the group's units."""
    seen = set()
    for reading, classes in coupling.readings:
        first = classes[:, 0]
        group = owners.get(int(first[0]))
        if group is None or reading.size % len(groups[group]) or not (classes == first[:, None]).all():
            continue
        key = (reading.module, reading.size, group)
        counted = np.isin(first, groups[group]).all() and len(np.unique(first)) == len(groups[group])
        if counted and key not in seen:
            seen.add(key)
            yield key


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
