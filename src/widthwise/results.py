"""What an evaluator gives back for a batch of candidates, and what an evaluator is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from widthwise.space import FloatArray, IntArray


@dataclass(frozen=True)
class Results:
    """One row of metrics for each candidate of a batch of K.

    metrics: name to values [K] float64, NaN where the candidate failed.
    failures: row to the reason, for the candidates that failed alone; the others of the batch are good.
    pruned: rows that were stopped early because they could not reach the front; their quality is NaN.
    """

    metrics: Mapping[str, FloatArray]
    failures: Mapping[int, str] = field(default_factory=dict)
    pruned: frozenset[int] = frozenset()


class Evaluate(Protocol):
    """Anything that scores a batch of candidates.

    What goes wrong with one candidate (an exception, no memory, NaN) belongs into `Results.failures`; what it
    raises ends the search, except where it is called with a single candidate: that one then failed.
    """

    def __call__(self, candidates: IntArray, /) -> Results:
        """The metrics of candidates [K, D] of choice indices, in their order."""
        ...


@runtime_checkable
class HasCosts(Protocol):
    """An evaluator that also knows some metrics exactly without evaluating."""

    def costs(self, candidates: IntArray, /) -> Mapping[str, FloatArray]:
        """Cost metrics by name [K] of candidates [K, D], equal to those that evaluating gives."""
        ...
