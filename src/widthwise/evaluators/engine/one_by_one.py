"""One pass per candidate: for networks that torch.fx follows but whose values can't be shared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from torch import Tensor

from widthwise.core.arrays import IntArray
from widthwise.formats.integer import Integer
from widthwise.network.calling import call, cloned, takes_of
from widthwise.network.graph import Graph
from widthwise.network.quantized import Quantized
from widthwise.network.scheme import Scheme
from widthwise.spaces.slots import Slot, schemes


class PassPerCandidate:
    """Runs the whole network for each candidate; quantised weights are kept, one for each format.

    slots: calibrated. `outputs` finds the outputs [samples, ...] in what the network returns.
    """

    def __init__(self, graph: Graph, slots: Sequence[Slot], outputs: Callable[[Any], Tensor]) -> None:
        self.slots, self._outputs = tuple(slots), outputs
        names = {slot.layer for slot in slots}
        # functions are wrapped only where they have a scheme; each candidate sets its own
        self.graph = graph.quantized(dict.fromkeys(names, Scheme(data_in=Integer(8))))
        self.model = self.graph.model.eval()
        self.wrapped = {name: self._wrapper(name) for name in names}
        self.takes = takes_of(self.model)

    def outputs(self, block: int, inputs: Mapping[str, Tensor], chosen: IntArray) -> Tensor:
        """Outputs [1, samples, ...] of one candidate's formats [S] for inputs by name, left as they are."""
        for name, scheme in schemes(self.slots, chosen).items():
            self.wrapped[name].scheme = scheme
        return self._outputs(call(self.model, cloned(inputs), self.takes)).unsqueeze(0)

    def _wrapper(self, name: str) -> Quantized:
        return cast(Quantized, self.model.get_submodule(str(self.graph.node(name).target)))
