"""One pass per candidate: for networks whose values can't be shared, as those captured at module level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from widthwise.core.arrays import IntArray
from widthwise.formats.integer import Integer
from widthwise.network.calibration import Readings, fixed_by_parameter
from widthwise.network.graph import Graph
from widthwise.network.passes.watch import tensors_in
from widthwise.network.quantized import Quantized
from widthwise.network.scheme import Scheme
from widthwise.spaces.slots import Slot, schemes


class PassPerCandidate:
    """Runs the whole network for each candidate; quantised weights are kept, one for each format.

    `outputs` finds the outputs [samples, ...] in what the network returns; `example` is what the float
    network gives for the examples.
    """

    def __init__(
        self,
        graph: Graph,
        slots: Sequence[Slot],
        examples: Sequence[Tensor],
        outputs: Callable[[Any], Tensor],
    ) -> None:
        self._outputs = outputs
        names = {slot.layer for slot in slots}
        # functions are wrapped only where they have a scheme; each candidate sets its own
        self.graph = graph.quantized(dict.fromkeys(names, Scheme(data_in=Integer(8))))
        self.model = self.graph.model.eval()
        self.wrapped = {name: self._wrapper(name) for name in names}
        self.slots, self.example = self._calibrated(slots, examples)

    def outputs(self, block: int, inputs: Sequence[Tensor], chosen: IntArray) -> Tensor:
        """Outputs [1, samples, ...] of one candidate's formats [S]."""
        for name, scheme in schemes(self.slots, chosen).items():
            self.wrapped[name].scheme = scheme
        return self._run(inputs).unsqueeze(0)

    def _run(self, inputs: Sequence[Tensor]) -> Tensor:
        return self._outputs(self.model(*(x.clone() for x in inputs)))  # the network may change its inputs

    def _wrapper(self, name: str) -> Quantized:
        return cast(Quantized, self.model.get_submodule(str(self.graph.node(name).target)))

    def _calibrated(
        self, slots: Sequence[Slot], examples: Sequence[Tensor]
    ) -> tuple[tuple[Slot, ...], Tensor]:
        """What follows the data fixed: by the parameters' values, and by what the float network computes."""
        types = {layer.name: layer.type for layer in self.graph.layers}
        readings = Readings({slot.layer: slot.formats for slot in slots if slot.tensor == "data_in"}, types)
        handles = []
        for name, wrapped in self.wrapped.items():
            wrapped.scheme = Scheme()
            hook = _recorder(readings, name)
            handles.append(wrapped.register_forward_pre_hook(hook, with_kwargs=True))
        with torch.no_grad():
            example = self._run(examples)
        for handle in handles:
            handle.remove()
        return tuple(self._calibrated_slot(slot, readings) for slot in slots), example

    def _calibrated_slot(self, slot: Slot, readings: Readings) -> Slot:
        if slot.tensor == "data_in":
            return replace(slot, formats=readings.fixed(slot.layer))
        layer = self.wrapped[slot.layer].layer
        return replace(slot, formats=fixed_by_parameter(slot.formats, layer, slot.tensor))


def _recorder(readings: Readings, layer: str) -> Any:
    """A hook that notes what a layer reads."""

    def record(_: nn.Module, args: Any, kwargs: Any) -> None:
        others = {name: value for name, value in kwargs.items() if "mask" not in name}
        readings.note(layer, tensors_in((args, others)))

    return record
