"""Toy evaluators that fail for some candidates, each in a way of its own."""

from __future__ import annotations

import numpy as np

from helpers.searches import Evaluator
from widthwise.evaluators.protocol import Results


class Odd(Evaluator):
    """Fails for every candidate whose first choice is 1, in a way of one's own."""

    def odd(self, candidates):
        return candidates[:, 0] == 1

    def __call__(self, candidates):
        results = super().__call__(candidates)
        return self.fail(dict(results), self.odd(candidates))


class GivesNaN(Odd):
    def fail(self, metrics, odd):
        metrics["accuracy"] = np.where(odd, np.nan, metrics["accuracy"])
        return Results(metrics)


class GivesInfinity(Odd):
    def fail(self, metrics, odd):
        metrics["accuracy"] = np.where(odd, np.inf, metrics["accuracy"])
        return Results(metrics)


class SaysSo(Odd):
    def fail(self, metrics, odd):
        return Results(metrics, {int(row): "no such width" for row in np.flatnonzero(odd)})


class RunsOutOfMemory(Odd):
    def fail(self, metrics, odd):
        if odd.any():
            raise MemoryError("20 GiB")
        return Results(metrics)


class RunsOutOfMemoryInTorch(Odd):
    def fail(self, metrics, odd):
        if odd.any():
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1e12 bytes")
        return Results(metrics)


class Raises(Odd):
    def fail(self, metrics, odd):
        if odd.any():
            raise ZeroDivisionError("by zero")
        return Results(metrics)
