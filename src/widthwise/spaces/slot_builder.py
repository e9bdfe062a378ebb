"""Decisions and slots from rules, layer by layer: every format that a tensor may have is built once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from widthwise.formats import import_own, parameters
from widthwise.formats.base import Format
from widthwise.network.layer import Layer
from widthwise.network.output_channels import for_weight, of_layer
from widthwise.network.scheme import TensorName, tensor_fields, tensor_format
from widthwise.spaces.settings import SeedRule
from widthwise.spaces.slots import Slot
from widthwise.spaces.space import Decision
from widthwise.spaces.tied import Decider

PLACE = "search.search_space.seed"


@dataclass(frozen=True)
class Field:
    """One key of a layer's config: its choices, and the decision that picks one (None: a single choice)."""

    key: str
    choices: tuple[Any, ...]
    column: int | None


class SlotBuilder:
    """Collects decisions and slots layer by layer."""

    def __init__(
        self, *, tie: bool, readers: Mapping[str, str], deciders: Mapping[tuple[str, TensorName], Decider]
    ) -> None:
        self.tie = tie
        self.readers = readers  # layer name to the first layer that reads the same tensor
        self.deciders = deciders  # of tensors whose format is decided for another reader
        self.decisions: list[Decision] = []
        self.slots: list[Slot] = []
        self.fields: dict[str, tuple[Field, ...]] = {}

    def add(self, layer: Layer, rule: SeedRule | None) -> None:
        """The decisions and slots of a layer whose formats a rule describes, or that other layers decide."""
        found: dict[str, Field] = {}
        for tensor in layer.tensors:
            decider = self.deciders.get((layer.name, tensor))
            own: list[Field] = []
            if decider is not None:
                own = self._fields(decider.layer, decider.rule, decider.tensor)
                own = [replace(field, key=decider.key_for(field.key, tensor)) for field in own]
            elif rule is not None:
                own = self._fields(layer, rule, tensor)
            if own:
                key = decider.rule.key if decider is not None else rule.key if rule is not None else ""
                self.slots.append(_slot(layer, tensor, own, f"{PLACE}.{key}.config"))
            found |= {field.key: field for field in own}
        if rule is not None or found:
            self.fields[layer.name] = tuple(found.values())

    def _fields(self, layer: Layer, rule: SeedRule, tensor: TensorName) -> list[Field]:
        """What a rule says of one tensor of a layer."""
        keys = tensor_fields(dict(rule.fields), where=f"{PLACE}.{rule.key}.config")[tensor]
        return [
            Field(key, choices, self._column(layer, rule, key, choices))
            for key, choices in rule.fields
            if key in keys
        ]

    def _column(self, layer: Layer, rule: SeedRule, key: str, choices: tuple[Any, ...]) -> int | None:
        if len(choices) == 1:
            return None
        owner = layer.name
        if key.startswith("data_in_"):
            owner = self.readers.get(owner, owner)
        if self.tie:
            owner = rule.key
        names = [decision.name for decision in self.decisions]
        for name in (
            f"{owner}/{key}",
            f"{layer.name}/{key}",
        ):  # another choice list under the first can't be shared
            if name not in names:
                self.decisions.append(Decision(name, choices))
                return len(self.decisions) - 1
            if self.decisions[names.index(name)].choices == choices:
                break
        return names.index(name)


def _slot(layer: Layer, tensor: TensorName, fields: Sequence[Field], where: str) -> Slot:
    """The slot of one tensor: every combination of its keys' choices is built, so that a bad one is found."""
    formats: list[Format | None] = []
    varying = [field for field in fields if field.column is not None]
    shape = tuple(len(field.choices) for field in varying)
    table = np.zeros(shape, dtype=np.int64)
    keys = tuple(field.key for field in fields)
    constants = {field.key: field.choices[0] for field in fields if field.column is None}
    for field in fields:
        if field.key in ("name", f"{tensor}_name"):
            for name in field.choices:
                import_own(name, where=where)
    choosing = any(len(field.choices) > 1 for field in fields if field.key in ("name", f"{tensor}_name"))
    for indices in product(*(range(n) for n in shape)):
        picked = {field.key: field.choices[i] for field, i in zip(varying, indices, strict=True)}
        config = _meant(constants | picked, keys, tensor, choosing=choosing)
        fmt = tensor_format(config, tuple(config), tensor, where=where)
        if tensor == "weight":
            fmt = for_weight(fmt, of_layer(layer))
        if fmt not in formats:
            formats.append(fmt)
        table[indices] = formats.index(fmt)
    columns = tuple(field.column for field in varying if field.column is not None)
    return Slot(layer.name, tensor, tuple(formats), columns, table)


def _meant(
    config: Mapping[str, Any], keys: Sequence[str], tensor: TensorName, *, choosing: bool
) -> dict[str, Any]:
    """The keys of a tensor; where its format is one of several choices, only those that this one takes."""
    own = {key: config[key] for key in keys}
    if not choosing:
        return own
    known = parameters(str(own.get(f"{tensor}_name", own.get("name"))))
    return {
        key: value
        for key, value in own.items()
        if key in ("name", f"{tensor}_name") or key.removeprefix(f"{tensor}_") in known
    }
