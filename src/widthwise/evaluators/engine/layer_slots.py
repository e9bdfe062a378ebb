"""The slots of a network's layers, by layer and tensor: their columns, formats and parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from widthwise.evaluators.engine.parameters import Parameter
from widthwise.formats.base import Format
from widthwise.network.layer import Layer
from widthwise.network.quantized import parameter_role
from widthwise.network.scheme import TensorName
from widthwise.spaces.slots import Slot


class LayerSlots:
    """Which columns of chosen formats [K, S] are for which tensors."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = tuple(slots)
        self._columns = {(slot.layer, slot.tensor): column for column, slot in enumerate(slots)}

    def column(self, layer: str, tensor: TensorName) -> int | None:
        """That of a layer's tensor; None where it has no slot."""
        return self._columns.get((layer, tensor))

    def formats(self, column: int) -> tuple[Format | None, ...]:
        """The formats of a slot."""
        return self._slots[column].formats

    def columns_of(self, layer: Layer) -> dict[TensorName, int]:
        """The columns of a layer by tensor."""
        columns = {tensor: self.column(layer.name, tensor) for tensor in layer.tensors}
        return {tensor: column for tensor, column in columns.items() if column is not None}

    def formats_of(self, layer: Layer) -> dict[TensorName, tuple[Format | None, ...]]:
        """The formats of a layer's slots by tensor."""
        return {tensor: self.formats(column) for tensor, column in self.columns_of(layer).items()}

    def parameters(self, layer: Layer | None, call: Any) -> dict[str, tuple[int, Parameter]]:
        """The parameters of a layer that is a module which have a slot: name to column and versions."""
        found: dict[str, tuple[int, Parameter]] = {}
        if not isinstance(call, nn.Module) or layer is None:
            return found
        for name, value in call.named_parameters():
            column = self.column(layer.name, parameter_role(name))
            if column is not None:
                found[name] = (column, Parameter(value.detach(), self.formats(column)))
        return found
