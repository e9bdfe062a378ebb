"""One pass per candidate: for networks captured at module level, where values can't be shared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from widthwise.engine.planner import calibrated
from widthwise.graph import Graph
from widthwise.quantized import Quantized
from widthwise.scheme import Scheme
from widthwise.space import IntArray
from widthwise.spaces.slots import Slot, schemes


class PassPerCandidate:
    """Runs the whole network for each candidate; quantised weights are kept, one for each format."""

    def __init__(self, graph: Graph, slots: Sequence[Slot], examples: Sequence[Tensor]) -> None:
        every = {name: Scheme() for name in {slot.layer for slot in slots}}
        self.graph = graph.quantized(every)
        self.model = self.graph.model.eval()
        self.wrapped: dict[str, Quantized] = {}
        for name in every:
            target = str(self.graph.node(name).target)
            self.wrapped[name] = _wrapped(self.model, target)
        self.slots = self._calibrated(slots, examples)

    def scores(self, block: int, inputs: Sequence[Tensor], chosen: IntArray) -> Tensor:
        """Scores [1, samples, classes] of one candidate's formats [S]."""
        for name, scheme in schemes(self.slots, chosen).items():
            self.wrapped[name].scheme = scheme
        return first_output(self.model(*inputs)).unsqueeze(0)

    def _calibrated(self, slots: Sequence[Slot], examples: Sequence[Tensor]) -> tuple[Slot, ...]:
        """What follows the data fixed: by the parameters' values, and by what the float network computes."""
        seen: dict[str, Tensor] = {}
        handles = [
            module.register_forward_pre_hook(_recorder(seen, name), with_kwargs=True)
            for name, module in self.wrapped.items()
        ]
        with torch.no_grad():
            self.classes = first_output(self.model(*examples)).shape[-1]
        for handle in handles:
            handle.remove()
        return tuple(self._calibrated_slot(slot, seen) for slot in slots)

    def _calibrated_slot(self, slot: Slot, seen: dict[str, Tensor]) -> Slot:
        if slot.tensor == "data_in":
            return calibrated(slot, seen[slot.layer]) if slot.layer in seen else slot
        layer = self.wrapped[slot.layer].layer
        for name, value in layer.named_parameters():
            if name.endswith(slot.tensor):
                return calibrated(slot, value.detach())
        return slot


def first_output(result: Any) -> Tensor:
    """The scores: of several outputs the first."""
    scores: Tensor = result[0] if isinstance(result, tuple | list) else result
    return scores


def _wrapped(model: nn.Module, target: str) -> Quantized:
    parent, _, name = target.rpartition(".")
    holder = model.get_submodule(parent)
    layer = getattr(holder, name)
    wrapped = layer if isinstance(layer, Quantized) else Quantized(layer, Scheme())
    setattr(holder, name, wrapped)
    return wrapped


def _recorder(seen: dict[str, Tensor], name: str) -> Any:
    def record(_: nn.Module, args: Any, kwargs: Any) -> None:
        floats = [
            x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor) and x.is_floating_point()
        ]
        if floats:
            seen[name] = floats[0]

    return record
