"""The seed of a search space: rules by layer, and the choices of formats and their parameters in each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from itertools import islice, product
from typing import Any

from widthwise.core.errors import UserError, nearest
from widthwise.core.table import Table
from widthwise.core.toml import dotted, shown
from widthwise.formats import BY_NAME, REGISTRY, from_config, parameters
from widthwise.formats.base import UNSET
from widthwise.network.scheme import TENSORS
from widthwise.spaces.settings import SeedRule

CHECKED_COMBINATIONS = 2000  # of one tensor's parameters: more are checked in part here, wholly by the space
LAB_KEYS = ("bypass", "is_qat", "floor")  # of a rule in the lab's system
WIDTH_NAMES = ("output_only", "both", "input_only")

Choices = tuple[Any, ...]


def rule_tables(seed: Table) -> Iterator[tuple[str, Table]]:
    """Each rule's key and its config table. A name with dots needs no quotes: its tables are put together."""
    for key in seed.values:
        yield from _rules_under(seed.table(key), (key,))


def _rules_under(table: Table, key: tuple[str, ...]) -> Iterator[tuple[str, Table]]:
    if "config" in table:
        yield ".".join(key), table.table("config")
    for inner, value in table.values.items():
        if inner == "config":
            continue
        if not isinstance(value, Mapping):
            table.fail(inner, "no such key", near=dotted((*table.path, "config", inner)))
        yield from _rules_under(table.table(inner), (*key, inner))
    if not table.values:
        raise UserError(f"{table.where()}: is empty; give it a config table with the choices")


def choices(table: Table, key: str) -> Choices:
    """What may be chosen for a field, in the file's order: a list, or a single value."""
    value = table.get(key)
    found = value if isinstance(value, list) else [value]
    if not found:
        table.fail(key, "is an empty list; give at least one choice")
    made = tuple(_choice(table, key, choice) for choice in found)
    seen = set()
    for choice in made:
        if (type(choice), choice) in seen:
            table.fail(key, f"{shown(choice)} is given twice; leave one out")
        seen.add((type(choice), choice))
    return made


def _choice(table: Table, key: str, value: Any) -> Any:
    if value is None:
        return "NA"
    if isinstance(value, list):
        return tuple(_choice(table, key, inner) for inner in value)
    if not isinstance(value, str | int | float):
        table.fail(key, f"{shown(value)} is no choice; allowed: numbers, text, true, false, lists of sizes")
    return value


def quantisation_rule(key: str, table: Table) -> SeedRule:
    """The rule with the choices of formats and parameters; raises UserError for what makes no format."""
    names = _format_names(table)
    for tensor in TENSORS:
        known = [param for name in names[tensor] if name in BY_NAME for param in parameters(name)]
        table.known.update(dict.fromkeys(f"{tensor}_{param}" for param in known))
        if any(map(_is_code, names[tensor])):  # what it takes is seen when it is made: no code runs here
            table.known.update(dict.fromkeys(key for key in table if key.startswith(f"{tensor}_")))
    _ignore_meaningless(table, names)
    table.close(lab=LAB_KEYS, strict=True)
    ignored = {path[-1] for path in table.document.ignored if path[:-1] == table.path}
    fields = {field: choices(table, field) for field in table if field not in ignored}
    for tensor in TENSORS:
        _check_tensor(table, tensor, names[tensor], fields)
    return SeedRule(key, tuple(fields.items()))


def named_formats(rules: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The formats that the rules of a seed name, read or not, each with its keys; imports nothing.

    Rules may lie at any depth: a key with dots makes tables of its own.
    """
    for key, value in rules.items():
        if isinstance(value, Mapping):
            yield from (((str(key), *keys), name) for keys, name in named_formats(value))
        elif key == "name" or str(key).endswith("_name"):
            for name in value if isinstance(value, list | tuple) else [value]:
                if name not in (*UNSET, *WIDTH_NAMES):
                    yield (str(key),), name


def is_unset(value: object) -> bool:
    """Whether a choice says "NA" or "none"."""
    return isinstance(value, str) and value in UNSET


def _is_code(name: str) -> bool:
    """Whether it is a plug-in's or one's own, `module:Class`."""
    return name not in BY_NAME and not is_unset(name) and (":" in name or REGISTRY.get(name) is not None)


def _format_names(table: Table) -> dict[str, Choices]:
    """The names of formats that each tensor may have, checked."""
    shared = _checked_names(table, "name") if "name" in table else None
    names: dict[str, Choices] = {}
    for tensor in TENSORS:
        own = f"{tensor}_name"
        if own in table:
            names[tensor] = _checked_names(table, own)
        else:
            names[tensor] = shared or ()
    if shared is None:
        lacking = [key for key in table if any(key.startswith(f"{t}_") and not names[t] for t in TENSORS)]
        if lacking or not any(names.values()):
            close = nearest("name", [key for key in table if "_" not in key])
            hint = f"{close} is no such key; " if close else ""
            table.fail(
                "name", f'is missing; {hint}name a format, as in name = ["integer"], or "NA" for float'
            )
    return names


def _checked_names(table: Table, key: str) -> Choices:
    found = choices(table, key)
    for name in found:
        if is_unset(name):
            continue
        if name in WIDTH_NAMES:
            table.fail(
                key, f'{name} is no number format; channel widths are searched by name = "graph/width"'
            )
        if not isinstance(name, str) or not (name in BY_NAME or _is_code(name)):
            names = REGISTRY.entries
            close = nearest(str(name), names)
            allowed = (*names, "NA", "module:Class")
            table.fail(key, f"no format named {shown(name)}", near=close, allowed=allowed)
    return found


def _ignore_meaningless(table: Table, names: Mapping[str, Choices]) -> None:
    """Parameters of a tensor that stays in float, and of outputs, which nothing here quantises."""
    every = {param for name in BY_NAME for param in parameters(name)}
    floats = [tensor for tensor in TENSORS if all(map(is_unset, names[tensor]))]
    meaningless = {f"data_out_{param}" for param in (*every, "name")}
    meaningless |= {f"{tensor}_{param}" for tensor in floats for param in every}
    for key in table:
        if key in meaningless:
            table.ignore(key)


def _check_tensor(table: Table, tensor: str, names: Choices, fields: Mapping[str, Choices]) -> None:
    """Builds every format that the choices allow for one tensor."""
    given = {f.removeprefix(f"{tensor}_"): found for f, found in fields.items() if f.startswith(f"{tensor}_")}
    mentioned = any(field.startswith(f"{t}_") for t in TENSORS for field in fields)
    if mentioned and not given:
        return  # a name with parameters of other tensors formats those alone
    for name in names:
        if is_unset(name) or _is_code(name):
            continue
        known = parameters(name)
        own = {param: found for param, found in given.items() if param in known}
        _check_required(table, tensor, name, {known[param] for param in own})
        for values in islice(product(*own.values()), CHECKED_COMBINATIONS):
            _check_format(table, tensor, name, dict(zip(own, values, strict=True)))


def _check_required(table: Table, tensor: str, name: str, given: set[str]) -> None:
    cls = BY_NAME[name]
    for field in dataclasses.fields(cls):
        fixed = field.name in cls.presets.get(name, {})
        if field.default is dataclasses.MISSING and not fixed and field.name not in given:
            table.fail(f"{tensor}_{field.name}", f"is missing; {name} needs it ({field.metadata['meaning']})")


def _check_format(table: Table, tensor: str, name: str, params: Mapping[str, Any]) -> None:
    try:
        from_config({"name": name, **params})
    except UserError as error:
        given = {param: param for param in params} | {parameters(name)[param]: param for param in params}
        blamed = f"{tensor}_{given[error.key]}" if error.key in given else None
        raise error.at(table.where(blamed)) from None
