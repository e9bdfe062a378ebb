"""One pass per candidate: for networks whose values can't be shared, as those captured at module level."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from widthwise.core.arrays import IntArray
from widthwise.evaluators.engine.planner import calibrated
from widthwise.formats.base import Format
from widthwise.formats.integer import Integer
from widthwise.network.graph import Graph
from widthwise.network.passes.calibrate import fixed_for_inputs, input_values
from widthwise.network.passes.watch import tensors_in
from widthwise.network.quantized import Quantized, parameter_role
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
        seen: dict[str, list[Tensor]] = defaultdict(list)
        types = {layer.name: layer.type for layer in self.graph.layers}
        handles = []
        for slot in slots:
            self.wrapped[slot.layer].scheme = Scheme()
            if slot.tensor == "data_in":
                hook = _recorder(seen[slot.layer], slot, types[slot.layer])
                handles.append(self.wrapped[slot.layer].register_forward_pre_hook(hook, with_kwargs=True))
        with torch.no_grad():
            example = self._run(examples)
        for handle in handles:
            handle.remove()
        return tuple(self._calibrated_slot(slot, seen[slot.layer]) for slot in slots), example

    def _calibrated_slot(self, slot: Slot, seen: Sequence[Tensor]) -> Slot:
        if slot.tensor == "data_in":
            return replace(slot, formats=_fixed(slot, seen))
        layer = self.wrapped[slot.layer].layer
        own = [value for name, value in layer.named_parameters() if parameter_role(name) == slot.tensor]
        # several weights are followed by the format one by one
        return calibrated(slot, own[0].detach()) if len(own) == 1 else slot


def _fixed(slot: Slot, values: Sequence[Tensor]) -> tuple[Format | None, ...]:
    return tuple(fmt and fixed_for_inputs(fmt, values) for fmt in slot.formats)


def _recorder(seen: list[Tensor], slot: Slot, kind: str) -> Any:
    """A hook that keeps what a layer reads as data_in, where a format of the slot follows it."""

    def record(_: nn.Module, args: Any, kwargs: Any) -> None:
        others = {name: value for name, value in kwargs.items() if "mask" not in name}
        read = input_values(kind, tensors_in((args, others)))
        if _fixed(slot, read) != slot.formats:
            seen.extend(x.clone() for x in read)  # the layer may work in place

    return record
