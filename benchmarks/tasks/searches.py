"""The searches by name; those held out were looked at only after the strategy was finished."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks import networks
from widthwise.core.arrays import FloatArray, IntArray
from widthwise.evaluators.engine import Evaluator
from widthwise.metrics.catalogue import Direction, find_metric
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.goals.objective import Objective
from widthwise.network.graph import Graph
from widthwise.spaces.quantisation import QuantisationSpace

CHUNK = 4096


@dataclass(frozen=True)
class Search:
    """A space, what it is searched for, and an evaluator for it."""

    space: QuantisationSpace
    objectives: Mapping[str, Direction]
    evaluator: Evaluator

    @property
    def aim(self) -> Aim:
        """The objectives as a search has them."""
        return Aim(
            tuple(Objective(find_metric(name), direction) for name, direction in self.objectives.items())
        )

    def values(self, candidates: IntArray) -> FloatArray:
        """All objectives [K, M] of candidates [K, D], to be maximised, by evaluating."""
        return self.aim.values(self.evaluator(candidates))

    def costs(self, candidates: IntArray) -> FloatArray:
        """The same without evaluating: NaN where that would be needed."""
        return self.aim.known(self.evaluator.costs(candidates), len(candidates))

    def truth(self) -> FloatArray:
        """The objectives of the whole space in its order."""
        return np.concatenate([self.values(chunk) for chunk in self.space.enumerate(chunk=CHUNK)])


@dataclass(frozen=True)
class Task:
    """How a search is set up."""

    description: str
    network: Callable[[], tuple[Any, Any]]
    seed: Mapping[str, Any]
    objectives: Mapping[str, Direction]
    by: Any = "type"
    judged_as: str | None = None  # a task; None: the one that fits

    def search(self) -> Search:
        """Train or load the network, and build space and evaluator."""
        model, data = self.network()
        graph = Graph(model)
        space = QuantisationSpace(graph, by=self.by, seed=self.seed)
        names = list(self.objectives)
        judge = Evaluator(graph, space, data, metrics=names, task=self.judged_as)
        return Search(space, self.objectives, judge)


def widths(
    data_in: list[int], weight: list[int], bias: list[int] | None = None, name: list[str] | None = None
) -> dict[str, Any]:
    """A rule with these choices, without biases where layers have none; the point stands in the middle."""
    rule = {"name": name or ["integer"], "data_in_width": data_in, "weight_width": weight}
    return {"config": rule if bias is None else rule | {"bias_width": bias}}


ACCURACY_BITS: dict[str, Direction] = {"accuracy": "maximize", "average_bitwidth": "minimize"}
ACCURACY_SIZE: dict[str, Direction] = {"accuracy": "maximize", "model_size": "minimize"}
LOSS_SIZE: dict[str, Direction] = {"loss": "minimize", "model_size": "minimize"}
LOSS_BOPS: dict[str, Direction] = {"loss": "minimize", "bops": "minimize"}

OPEN = {
    "jets-bits": Task(
        "jets, 16-64-32-32-5, widths of the lab", networks.jets_mlp,
        {"linear": widths([4, 8], [2, 4, 8], [2, 4, 8])}, ACCURACY_BITS,
    ),
    "jets-size": Task(
        "jets, 16-64-32-32-5, 13,824 by name", networks.jets_mlp,
        {f"layer{i}": widths([4, 8], [2, 4, 6, 8], [2, 4, 8]) for i in range(3)}
        | {"layer3": widths([8], [8], [8])},
        LOSS_SIZE, by="name",
    ),
    "digits-mlp": Task(
        "digits, 64-32-32-10", lambda: networks.trained("digits-mlp", "digits"),
        {"linear": widths([2, 4, 6, 8], [2, 4, 8], [4, 8])}, ACCURACY_BITS,
    ),
    "digits-cnn": Task(
        "digits, two convolutions, linear, by name", lambda: networks.trained("digits-cnn", "digits"),
        {
            "seq_blocks_0": widths([4, 8], [2, 4, 6, 8], [2, 4, 8]),
            "seq_blocks_4": widths([4, 8], [2, 4, 6, 8], [2, 4, 8]),
            "seq_blocks_9": widths([4, 8], [2, 4, 6, 8], [2, 4, 8]),
        },
        ACCURACY_SIZE, by="name",
    ),
    "digits-cnn-bops": Task(
        "the same, loss against bit operations", lambda: networks.trained("digits-cnn", "digits"),
        {
            "seq_blocks_0": widths([2, 4, 5, 6, 8], [2, 3, 4, 6, 8], [8]),
            "seq_blocks_4": widths([2, 4, 5, 6, 8], [2, 3, 4, 6, 8], [8]),
            "seq_blocks_9": widths([2, 4, 5, 6, 8], [2, 3, 4, 6, 8], [8]),
        },
        LOSS_BOPS, by="name",
    ),
}  # fmt: skip

HELD_OUT = {
    "held-out-three": Task(
        "jets, 16-16-16-5 trained here", lambda: networks.trained("jsc-three-linear", "jsc"),
        {"linear": widths([4, 6, 8], [2, 4, 8], [2, 4, 8])}, ACCURACY_SIZE,
    ),
    "held-out-objectives": Task(
        "digits MLP, three objectives", lambda: networks.trained("digits-mlp", "digits"),
        {"linear": widths([3, 4, 6, 8], [3, 4, 6, 8], [8])},
        {"accuracy": "maximize", "model_size": "minimize", "bops": "minimize"},
    ),
    "held-out-formats": Task(
        "digits CNN, formats and widths", lambda: networks.trained("digits-cnn", "digits"),
        {"conv2d": widths([4, 6, 8], [3, 4, 6, 8], [8], ["integer", "log"]),
         "linear": widths([4, 6, 8], [3, 4, 6, 8], [8])}, LOSS_SIZE,
    ),
}  # fmt: skip

LARGE = {
    "resnet8": Task(
        "ResNet-8 on digits, 7^14 candidates", lambda: networks.resnet(3),
        {
            layer: widths([2, 3, 4, 5, 6, 7, 8], [2, 3, 4, 5, 6, 7, 8])
            for layer in ("block1_first", "block1_second", "block2_first", "block2_second", "block3_first",
                          "block3_second")
        }
        | {"last": widths([2, 3, 4, 5, 6, 7, 8], [2, 3, 4, 5, 6, 7, 8], [8])}
        | {"default": widths([8], [8], [8])},
        ACCURACY_SIZE, by="name",
    ),
    "resnet20": Task(
        "ResNet-20 on digits, 7^40 candidates", lambda: networks.resnet(9),
        {r"blocks_\d_(first|second)|first": widths([2, 3, 4, 5, 6, 7, 8], [2, 3, 4, 5, 6, 7, 8])}
        | {"last": widths([2, 3, 4, 5, 6, 7, 8], [2, 3, 4, 5, 6, 7, 8], [8]), "default": widths([8], [8])},
        ACCURACY_SIZE, by="regex",
    ),
}  # fmt: skip

NUMBERS = {
    "diabetes-mse": Task(
        "diabetes, three layers", lambda: networks.trained("diabetes-mlp", "diabetes"),
        {"linear": widths([4, 6, 8], [3, 4, 6, 8], [8, 12])},
        {"mse": "minimize", "model_size": "minimize"},
    ),
    "diabetes-mae": Task(
        "the same, absolute errors and bit operations",
        lambda: networks.trained("diabetes-mlp", "diabetes"),
        {"linear": widths([4, 6, 8], [3, 4, 6, 8], [8, 12])}, {"mae": "minimize", "bops": "minimize"},
    ),
    "jets-sqnr": Task(
        "jets, 16-64-32-32-5, closeness", networks.jets_mlp,
        {f"layer{i}": widths([4, 8], [2, 4, 6, 8], [2, 4, 8]) for i in range(3)}
        | {"layer3": widths([8], [8], [8])},
        {"sqnr": "maximize", "model_size": "minimize"}, by="name", judged_as="closeness",
    ),
    "digits-sqnr": Task(
        "digits CNN, closeness", lambda: networks.trained("digits-cnn", "digits"),
        {"conv2d": widths([4, 6, 8], [3, 4, 6, 8], [8]), "linear": widths([4, 6, 8], [3, 4, 6, 8], [8])},
        {"sqnr": "maximize", "bops": "minimize"}, judged_as="closeness",
    ),
}  # fmt: skip

TASKS = OPEN | HELD_OUT | NUMBERS | LARGE
