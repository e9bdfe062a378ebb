"""What sharing allows: the time of all calls of a run, over the time of those that follow a change."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from widthwise.evaluators.engine import Evaluator
from widthwise.network.graph import Graph
from widthwise.network.placed import Placed
from widthwise.network.places import Place, followed
from widthwise.network.recording import PLACE


class Timed(fx.Interpreter):
    """Runs a graph and adds up the seconds of its nodes."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.seconds: dict[str, float] = defaultdict(float)

    def run_node(self, n: fx.Node) -> Any:
        start = time.perf_counter()
        value = super().run_node(n)
        self.seconds[n.name] += time.perf_counter() - start
        return value


def timed_calls(graph: Graph, seconds: dict[str, float], x: Tensor) -> None:
    """Runs a recorded network with its schemes and adds up the seconds of its nodes; of other calls as ""."""
    placed = graph.model
    assert isinstance(placed, Placed)
    calls = placed.at_places()
    names = {node.meta[PLACE]: node.name for node in graph.fx_graph.nodes if PLACE in node.meta}

    def handle(place: Place, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        start = time.perf_counter()
        value = calls(place, function, args, kwargs)
        seconds[names.get(place) or names.get(place.every, "")] += time.perf_counter() - start
        return value

    with followed(graph.network, handle):
        graph.network(x)


class Theory:
    """By how much sharing can speed up single changes: by the time of each call of one candidate's graph."""

    def __init__(self, evaluator: Evaluator, x: Tensor, runs: int = 5) -> None:
        graph = evaluator.network(np.zeros(len(evaluator.slots), dtype=np.int64))
        self.graph = graph.fx_graph
        if isinstance(graph.model, fx.GraphModule):
            timed = Timed(graph.model)
            self.seconds, run_once = timed.seconds, partial(timed.run, x)
        else:
            self.seconds = defaultdict(float)
            run_once = partial(timed_calls, graph, self.seconds, x)
        with torch.no_grad():
            for run in range(runs + 1):
                run_once()
                if not run:
                    self.seconds.clear()

    def __call__(self, changed: Sequence[str]) -> float:
        total = sum(self.seconds.values())
        return (len(changed) + 1) * total / (total + sum(map(self._after, changed)))

    def _after(self, layer: str) -> float:
        """Seconds of the calls that depend on a layer, its own included."""
        reached = {layer}
        for node in self.graph.nodes:
            if any(read.name in reached for read in node.all_input_nodes):
                reached.add(node.name)
        return sum(self.seconds[name] for name in reached)
