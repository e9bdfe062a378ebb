"""The quantisation space: which format each tensor of each layer may have."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from widthwise.core.errors import UserError
from widthwise.network.graph import Graph
from widthwise.network.layer import Layer
from widthwise.network.passes.rules import check_keys_apply, inactive, of_folded, select
from widthwise.network.selection import DEFAULT, By
from widthwise.spaces.correcting import corrected_slots
from widthwise.spaces.reading import is_float
from widthwise.spaces.settings import QuantisationSearch, SeedRule
from widthwise.spaces.slot_builder import PLACE, Field, SlotBuilder
from widthwise.spaces.slots import Slot, fixed_slots, kept_slot
from widthwise.spaces.space import Decision, Space
from widthwise.spaces.tied import check_layouts, deciders
from widthwise.spaces.uniform import Uniform, uniform_schemes


class QuantisationSpace(Space):
    """The formats that rules allow for the layers of a graph.

    A rule names layers, by node name ("name"), layer type ("type") or a regular expression that matches the
    whole node name ("regex"); its config gives each key (`name`, `weight_width` …) a list of choices. Every
    layer that a rule selects has decisions of its own, as in the lab's system; with `tie` all of a rule's
    layers take the same choice, with `share_inputs` all layers that read the same tensor quantise it alike.
    A stored tensor that several layers read (tied weights) has one format, that of the first reader with a
    rule for it; with `untie` each reader has its own, and the tensor is stored for each. With
    `bias_correction` each bias makes up, on average, for how its layer's weight is rounded.
    Layers that no rule selects take the rule "default", or else keep the scheme that they have in the graph.
    Keys of tensors that a layer doesn't have are left out; one of a tensor that none of a rule's layers has
    is an error. So that `by` can be switched, rules that select layers by the other of name and type are
    `unused`, as long as others are left. Raises UserError for rules that select nothing and for formats that
    don't exist.
    """

    slots: tuple[Slot, ...]
    fields: Mapping[str, tuple[Field, ...]]  # layer name to its keys
    by: By
    rules: Mapping[str, str]  # layer name to the key of its rule
    untie: bool  # each reader of a stored tensor has it in a format of its own
    unused: tuple[str, ...]  # rules for types where layers go by name, or the other way round: left out
    folded: tuple[str, ...]  # rules for batch norms alone that are part of other layers now: left out
    uncorrected: Mapping[str, str] | None  # layers whose bias is not corrected and why; None: none is to be

    def __init__(
        self,
        graph: Graph,
        *,
        by: By = "name",
        seed: Mapping[str, Any] | Sequence[SeedRule],
        tie: bool = False,
        share_inputs: bool = False,
        untie: bool = False,
        bias_correction: bool = False,
    ) -> None:
        rules = seed_rules(seed) if isinstance(seed, Mapping) else tuple(seed)
        gone = of_folded(graph, by, [rule.key for rule in rules])
        rules = tuple(rule for rule in rules if rule.key not in gone)
        alone = any(rule.key == DEFAULT and not is_float(rule) for rule in rules)
        unused = inactive(graph, by, [rule.key for rule in rules], alone=alone, where=PLACE)
        by_key = {rule.key: rule for rule in rules if rule.key not in unused}
        layers = {layer.name: layer for layer in graph.layers}
        selected = select(graph, by, by_key, where=PLACE)
        _check_rules(by_key, selected, layers)
        rule_of = {name: by_key[key] for name, key in selected.items()}
        builder = SlotBuilder(
            tie=tie,
            readers=_first_readers(graph) if share_inputs else {},
            deciders={} if untie else deciders(layers.values(), rule_of, where=PLACE),
        )
        for name, layer in layers.items():
            builder.add(layer, rule_of.get(name))
        check_layouts(layers, builder.slots, builder.deciders)
        super().__init__(tuple(builder.decisions))
        chosen = {slot.layer for slot in builder.slots}
        fixed = tuple(slot for slot in fixed_slots(graph) if slot.layer not in chosen)
        slots, left = tuple(builder.slots) + fixed, None
        if bias_correction:
            slots, left = corrected_slots(graph, slots)
        self._set(
            slots=slots,
            uncorrected=left,
            fields=builder.fields,
            by=by,
            rules=selected,
            unused=unused,
            folded=gone,
            untie=untie,
        )

    def _set(self, **values: Any) -> None:
        """Sets these of a space that is being made."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_config(cls, graph: Graph, search: QuantisationSearch) -> QuantisationSpace:
        """The space that a config's search_space describes."""
        rules = search.rules + ((search.default,) if search.default else ())
        return cls(
            graph,
            by=search.by,
            seed=rules,
            tie=search.tie,
            share_inputs=search.share_inputs,
            untie=search.untie,
            bias_correction=search.bias_correction,
        )

    def keeping(self, choices: Sequence[Sequence[int]]) -> QuantisationSpace:
        """The space with these choices alone, by decision, ascending; a single one is decided."""
        made = copy.copy(self)
        for name in [name for name, value in vars(Space).items() if isinstance(value, cached_property)]:
            made.__dict__.pop(name, None)
        places = dict(zip([at for at, left in enumerate(choices) if len(left) > 1], count(), strict=False))
        decisions = tuple(
            Decision(decision.name, tuple(decision.choices[index] for index in left))
            for decision, left in zip(self.decisions, choices, strict=True)
            if len(left) > 1
        )
        fields = {
            layer: tuple(_kept_field(field, choices, places) for field in own)
            for layer, own in self.fields.items()
        }
        slots = tuple(kept_slot(slot, choices, places) for slot in self.slots)
        made._set(decisions=decisions, fields=fields, slots=slots)
        return made

    @property
    def uniform(self) -> tuple[Uniform, ...]:
        """The schemes in which every layer has the same format with the same bits."""
        return uniform_schemes(self.slots, len(self.decisions))

    def config(self, candidate: ArrayLike) -> dict[str, dict[str, Any]]:
        """The config of each selected layer for one candidate [D], as `quantize_transform_pass` takes it."""
        indices = np.asarray(candidate, dtype=np.int64)
        return {
            layer: {
                field.key: field.choices[0 if field.column is None else indices[field.column]]
                for field in fields
            }
            for layer, fields in self.fields.items()
        }


def _kept_field(field: Field, choices: Sequence[Sequence[int]], places: Mapping[int, int]) -> Field:
    """A key with the choices that are left of its decision."""
    if field.column is None:
        return field
    left = tuple(field.choices[index] for index in choices[field.column])
    return Field(field.key, left, places.get(field.column))


def seed_rules(seed: Mapping[str, Any]) -> tuple[SeedRule, ...]:
    """Rules from `{"linear": {"config": {"name": ["integer"], "weight_width": [2, 4]}}}`.

    A single value is the only choice.
    """
    rules = []
    for key, entry in seed.items():
        if not isinstance(entry, Mapping) or not isinstance(entry.get("config"), Mapping):
            raise UserError(f'{PLACE}.{key}: needs a table "config" with lists of choices')
        fields = tuple(
            (name, tuple(choices) if isinstance(choices, list | tuple) else (choices,))
            for name, choices in entry["config"].items()
        )
        for name, choices in fields:
            if not choices:
                raise UserError(f"{PLACE}.{key}.config.{name}: has no choices; give at least one")
        rules.append(SeedRule(key, fields))
    return tuple(rules)


def _check_rules(
    rules: Mapping[str, SeedRule], selected: Mapping[str, str], layers: Mapping[str, Layer]
) -> None:
    """Raises UserError for a key of a rule that applies to none of its layers; the default is for any."""
    for key, rule in rules.items():
        if key != DEFAULT:
            own = [layers[name] for name, chosen in selected.items() if chosen == key]
            check_keys_apply(key, own, dict(rule.fields), where=f"{PLACE}.{key}.config")


def _first_readers(graph: Graph) -> dict[str, str]:
    """Each layer to the first of the layers that read the same tensor."""
    first: dict[Any, str] = {}
    found = {}
    for layer in graph.layers:
        if layer.tensors and layer.node.args:
            found[layer.name] = first.setdefault(layer.node.args[0], layer.name)
    return found
