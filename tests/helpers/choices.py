"""A kind of search space as a plug-in has it: how many of the first layers are rounded to halves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from widthwise.core.arrays import IntArray
from widthwise.evaluators.judging import Judging
from widthwise.evaluators.protocol import Pace, Results
from widthwise.network.graph import Graph
from widthwise.spaces.kinds import SearchTables
from widthwise.spaces.space import Decision, Space


@dataclass(frozen=True)
class Choices:
    """At most so many layers."""

    kind: ClassVar[str] = "test/choices"

    most: int


class Kind:
    """Reads `most`; each number of layers up to that is a candidate."""

    name = "test/choices"
    always = ("parameters",)
    evaluator = "helpers.choices:evaluator"

    def read(self, tables: SearchTables) -> Choices:
        most = tables.seed.whole("most", 1)
        tables.seed.close(strict=True)
        return Choices(most)

    def write(self, settings: Choices) -> dict[str, Any]:
        return {"search_space": {"name": self.name, "seed": {"most": settings.most}}}

    def space(self, network: Graph, data: Any, settings: Choices) -> Space:
        return Space((Decision("layers", tuple(range(settings.most + 1))),))

    def needs_weights(self, settings: Choices) -> bool:
        return True

    def lines(self, network: Graph, space: Space) -> list[str]:
        return [f"up to {space.size - 1} layers"]

    def warnings(self, space: Space) -> list[str]:
        return ["halves are coarse"]


class Judge:
    """Each layer that is rounded costs accuracy, and saves."""

    columns = ("accuracy", "parameters")
    pace = Pace(trains=False, affordable=100)
    describe = "candidates guessed"

    def __call__(self, candidates: IntArray) -> Results:
        layers = candidates[:, 0].astype(float)
        return Results({"accuracy": 1 - layers / 10, "parameters": 100 - layers})

    def costs(self, candidates: IntArray) -> dict[str, np.ndarray]:
        return {"parameters": self(candidates)["parameters"]}


def evaluator(graph: Graph, space: Space, data: Any, settings: Choices, judging: Judging) -> Judge:
    """Looks at nothing."""
    assert (settings.most, judging.columns[0]) == (space.size - 1, "accuracy")
    return Judge()


KIND = Kind()
