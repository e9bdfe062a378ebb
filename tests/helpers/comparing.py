"""A task in small to compare strategies on, every evaluation counted; and strategies that fail."""

from __future__ import annotations

import time
from dataclasses import replace

from helpers.metrics import metrics_of
from helpers.searches import AIM, Evaluator, space_of
from widthwise.core.arrays import FloatArray, IntArray
from widthwise.search.comparing import Contest
from widthwise.spaces.space import Space

SPACE = space_of(*(f"layer {i}/weight_width" for i in range(4)))  # 81 candidates
METRICS = ("accuracy", "model_size", "loss")


def toy(kind: type[Evaluator] = Evaluator) -> Evaluator:
    """The evaluator, or one of its kind, for the four layers."""
    return kind(weights=(1, 5, 2, 9), metrics=METRICS)


def make_task(**changes: object) -> tuple[Contest, Evaluator]:
    """The task and its evaluator, which counts."""
    evaluator = toy()
    return replace(Contest("sample", SPACE, evaluator, AIM, metrics_of(*METRICS)), **changes), evaluator


def everything() -> IntArray:
    """All 81 candidates in their order."""
    return SPACE.at(range(SPACE.size))


def values_of(candidates: IntArray) -> FloatArray:
    """What strategies are told."""
    return AIM.values(toy()(candidates))


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
