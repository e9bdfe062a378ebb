"""Tied weights: stored tensors that several layers read, and whose rule decides their format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from widthwise.core.errors import UserError
from widthwise.network.layer import Layer
from widthwise.network.scheme import TensorName, tensor_fields
from widthwise.spaces.settings import SeedRule

if TYPE_CHECKING:
    from torch import Tensor

    from widthwise.formats.base import Format
    from widthwise.spaces.slots import Slot


@dataclass(frozen=True, eq=False)
class Decider:
    """The reader of a stored tensor whose rule decides its format."""

    layer: Layer
    tensor: TensorName
    rule: SeedRule

    def key_for(self, key: str, tensor: TensorName) -> str:
        """A key of its config as it is written for a tensor of another reader."""
        own = "name" if key == "name" else key.removeprefix(f"{self.tensor}_")
        return f"{tensor}_{own}"


def deciders(
    layers: Iterable[Layer], rules: Mapping[str, SeedRule], *, where: str
) -> dict[tuple[str, TensorName], Decider]:
    """For each tensor of a layer whose format another layer's rule decides, that layer.

    rules: those of the layers that have one, by name. It is the first reader with a rule for the tensor that
    decides. Raises UserError where another reader's rule says something else.
    """
    first: dict[int | str, Decider] = {}
    readers: list[tuple[int | str, Layer, TensorName]] = []
    for layer in layers:
        for tensor, stored in layer.stored.items() if layer.tensors else ():
            if len(stored) == 1:
                readers.append((stored[0].identity, layer, tensor))
                rule = rules.get(layer.name)
                if rule is not None and _said(rule, tensor):
                    first.setdefault(stored[0].identity, Decider(layer, tensor, rule))
    found = {}
    for identity, layer, tensor in readers:
        decider = first.get(identity)
        if decider is not None and decider.layer is not layer:
            _check_alike(decider, layer, tensor, rules.get(layer.name), where)
            found[layer.name, tensor] = decider
    return found


def check_layouts(
    layers: Mapping[str, Layer], slots: Iterable[Slot], deciders: Mapping[tuple[str, TensorName], Decider]
) -> None:
    """Raises UserError where a reader would have a stored tensor in other numbers than the one that decides.

    So it is with scales along an axis where one of them reads it transposed: it couldn't be stored once.
    """
    formats = {(slot.layer, slot.tensor): slot.formats for slot in slots}
    for (name, tensor), decider in deciders.items():
        one = decider.layer.stored[decider.tensor][0].value
        other = layers[name].stored[tensor][0].value
        same = one.shape == other.shape and one.stride() == other.stride()
        if same or one.numel() != other.numel():
            continue
        decided = formats.get((decider.layer.name, decider.tensor), ())
        for fmt, own in zip(decided, formats.get((name, tensor), ()), strict=False):
            if fmt is not None and own is not None and not _same_numbers(fmt, one, own, other):
                raise UserError(
                    f"{name} reads the {tensor} of {decider.layer.name} in another layout, and {fmt} has "
                    "scales along an axis, so it couldn't be stored once; take a format with one scale, or "
                    "set untie = true"
                )


def _same_numbers(fmt: Format, x: Tensor, own: Format, y: Tensor) -> bool:
    """Whether two formats round the same numbers, in two layouts, to the same ones."""
    if fmt.elementwise and own.elementwise:
        return True
    one, other = fmt.quantize(x).flatten().sort().values, own.quantize(y).flatten().sort().values
    return bool(one.isclose(other, rtol=1e-6, atol=0.0, equal_nan=True).all())


def _said(rule: SeedRule, tensor: TensorName) -> dict[str, object]:
    """What a rule says of a tensor, by key without the tensor's name."""
    fields = dict(rule.fields)
    return {key.removeprefix(f"{tensor}_"): fields[key] for key in tensor_fields(fields)[tensor]}


def _check_alike(
    decider: Decider, layer: Layer, tensor: TensorName, rule: SeedRule | None, where: str
) -> None:
    said = {} if rule is None else _said(rule, tensor)
    if said and said != _said(decider.rule, decider.tensor):
        raise UserError(
            f"{where}.{rule.key if rule else layer.name}: {layer.name} and {decider.layer.name} read the "
            f"same stored {tensor}, which has one format; give both rules the same choices for it, or set "
            "untie = true"
        )
