"""The plain loop: one run of the user's own module for each candidate, over weights quantised once."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F  # noqa: N812

from others.networks import Network
from widthwise.core.arrays import IntArray
from widthwise.formats.base import Format
from widthwise.network.graph import Graph
from widthwise.network.recording import PLACE
from widthwise.network.scheme import Scheme
from widthwise.spaces.slots import Slot, schemes, slot_choices


class PlainLayer(nn.Module):
    """A convolution, linear layer or Conv1D that reads its input and its weights through formats."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.scheme = layer, Scheme()
        self.made: dict[tuple[str, Format | None], Tensor] = {}

    def parameter(self, name: str, fmt: Format | None) -> Tensor | None:
        value = getattr(self.layer, name)
        if value is None or fmt is None:
            return value
        if (name, fmt) not in self.made:
            self.made[name, fmt] = fmt.quantize(value.detach())
        return self.made[name, fmt]

    def forward(self, x: Tensor) -> Tensor:
        scheme, layer = self.scheme, self.layer
        weight, bias = self.parameter("weight", scheme.weight), self.parameter("bias", scheme.bias)
        x = x if scheme.data_in is None else scheme.data_in.quantize(x)
        if isinstance(layer, nn.Linear):
            return F.linear(x, weight, bias)
        if isinstance(layer, nn.Conv2d):
            return layer._conv_forward(x, weight, bias)
        rows = torch.addmm(bias, x.view(-1, x.size(-1)), weight)  # as transformers' Conv1D has it
        return rows.view(*x.shape[:-1], rows.size(-1))


class PlainLoop:
    """One run of the user's own module for each candidate."""

    def __init__(self, network: Network, graph: Graph, slots: Sequence[Slot]) -> None:
        self.model, self.data, self.slots = copy.deepcopy(network.module), network.data, slots
        self.layers: dict[str, PlainLayer] = {}
        for name in dict.fromkeys(slot.layer for slot in slots):
            target = module_path(graph.node(name))
            self.layers[name] = PlainLayer(self.model.get_submodule(target))
            parent, _, own = target.rpartition(".")
            setattr(self.model.get_submodule(parent), own, self.layers[name])

    def __call__(self, candidates: IntArray) -> np.ndarray:
        """Accuracy and loss [K, 2]."""
        found = []
        with torch.no_grad():
            for chosen in slot_choices(self.slots, candidates):
                for name, scheme in schemes(self.slots, chosen).items():
                    self.layers[name].scheme = scheme
                returned = self.model(self.data.x)
                scores = returned if isinstance(returned, Tensor) else returned.logits
                right = (scores.argmax(1) == self.data.y).double().mean().item()
                found.append((right, F.cross_entropy(scores, self.data.y).item()))
        return np.array(found)


def module_path(node: fx.Node) -> str:
    """Of the module that makes a node's call."""
    if PLACE in node.meta:
        return node.meta[PLACE].module
    if node.op == "call_module":
        return str(node.target)
    return next(reversed(node.meta["nn_module_stack"].values()))[0]  # of a subclass with a forward of its own
