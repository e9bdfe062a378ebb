"""Tasks in small to compare strategies on, every evaluation counted; and strategies that fail."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from helpers.metrics import metrics_of, objective
from widthwise.core.arrays import FloatArray, IntArray
from widthwise.evaluators.protocol import Results
from widthwise.metrics.goals.aim import Aim
from widthwise.search.comparing import Contest
from widthwise.spaces.space import Decision, Space

SPACE = Space(tuple(Decision(f"layer {i}/weight_width", (2, 4, 8)) for i in range(4)))  # 81 candidates
AIM = Aim((objective("accuracy", "maximize"), objective("model_size", "minimize", 0.5)))
METRICS = ("accuracy", "model_size", "loss")


class Evaluator:
    """accuracy grows unevenly with the widths, loss is what it lacks, model_size the sum of the widths."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []

    def __call__(self, candidates: IntArray) -> Results:
        self.asked += [tuple(row) for row in candidates.tolist()]
        accuracy = 1 - np.exp(-(candidates @ np.array([1, 5, 2, 9])) / 12)
        return Results({"accuracy": accuracy, "loss": 1 - accuracy, **self.costs(candidates)})

    def costs(self, candidates: IntArray) -> Mapping[str, FloatArray]:
        """Bytes."""
        return {"model_size": (2.0 ** (candidates + 1)).sum(axis=1)}


def make_task(**changes: object) -> tuple[Contest, Evaluator]:
    """The task and its evaluator, which counts."""
    evaluator = Evaluator()
    return replace(Contest("sample", SPACE, evaluator, AIM, metrics_of(*METRICS)), **changes), evaluator


def everything() -> IntArray:
    """All 81 candidates in their order."""
    return SPACE.at(range(SPACE.size))


def values_of(candidates: IntArray) -> FloatArray:
    """What strategies are told."""
    return AIM.values(Evaluator()(candidates).metrics)


class Backwards:
    """A strategy of one's own: the space from its end."""

    batch = 3

    def __init__(self, space: Space) -> None:
        self.space, self.left = space, space.size

    def ask(self, n: int) -> IntArray:
        """The next ones."""
        positions = range(self.left - 1, max(self.left - 1 - n, -1), -1)
        self.left -= len(positions)
        return self.space.at(list(positions))

    def tell(self, candidates: IntArray, values: FloatArray) -> None:
        """Learns nothing."""


class Slow(Backwards):
    """Thinks for a while before and after."""

    def ask(self, n: int) -> IntArray:
        """After 10 ms."""
        time.sleep(0.01)
        return super().ask(n)

    def tell(self, candidates: IntArray, values: FloatArray) -> None:
        """For 10 ms."""
        time.sleep(0.01)


class FailsAtOnce(Backwards):
    """Raises when it is asked."""

    def ask(self, n: int) -> IntArray:
        """Never."""
        raise ZeroDivisionError("no\nidea")


class FailsLater(Backwards):
    """Raises when it is told of the second batch."""

    told = 0

    def tell(self, candidates: IntArray, values: FloatArray) -> None:
        """Once."""
        self.told += 1
        if self.told == 2:
            raise RuntimeError("lost count")
