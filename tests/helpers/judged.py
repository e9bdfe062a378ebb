"""Data to judge networks of the zoo on, and spaces of formats for their layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx

from helpers.networks.odd import Choosy, ChoosyTracer
from helpers.networks.zoo import ZOO
from widthwise.evaluators.engine import Evaluator
from widthwise.network.graph import Graph
from widthwise.spaces.quantisation import QuantisationSpace

SAMPLES = 50
FIXED = {"name": ["integer"], "data_in_width": [3, 6], "weight_width": [3, 5], "bias_width": [2, 6]}


def choosy_graph() -> Graph:
    """Choosy, traced."""
    torch.manual_seed(0)
    model = Choosy().eval()
    return Graph(fx.GraphModule(model, ChoosyTracer().trace(model)))


CHOOSY_RULES = {  # the first two of its ten candidates fail
    "act": {"config": {"name": "integer", "data_in_width": 8, "data_in_frac_width": [0, 2, 3, 4, 5]}},
    "last": {"config": {"name": "integer", "weight_width": [4, 6]}},
}


@dataclass
class Batches:
    """Data given in batches of one size, the same in all parts."""

    inputs: tuple[Tensor, ...]
    labels: Tensor
    size: int = 16
    class_names: tuple[str, ...] = ("a", "b", "c")

    def train_dataloader(self):
        for start in range(0, len(self.labels), self.size):
            rows = slice(start, start + self.size)
            x = tuple(part[rows] for part in self.inputs)
            yield (x[0] if len(x) == 1 else x), self.labels[rows]

    val_dataloader = test_dataloader = train_dataloader


def made(name: str, seed: int = 0) -> tuple[Graph, Batches]:
    """The network of this name and data for it, of three classes at random."""
    torch.manual_seed(seed)
    network = ZOO[name]
    inputs = network.inputs(SAMPLES)
    return Graph(network.make().eval()), Batches(inputs, torch.randint(0, 3, (SAMPLES,)))


def every_layer(graph: Graph, config: dict) -> QuantisationSpace:
    """A space of every layer that can be quantised: functions and methods too."""
    return QuantisationSpace(graph, by="name", seed={"default": {"config": config}})


def with_shares(evaluator: Evaluator, **shares: Any) -> Evaluator:
    """The same evaluator, whose stacks, memo or blocks of data may take other sizes."""
    sharing = evaluator.prepared.sharing
    assert sharing is not None
    other = replace(sharing, shares=replace(sharing.shares, **shares))
    evaluator.prepared = replace(evaluator.prepared, sharing=other)
    return evaluator
