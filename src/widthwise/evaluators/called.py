"""One's own evaluators: anything that can be called with candidates, as the contract has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.evaluators.protocol import Evaluate, Evaluator, Pace, Results

UNKNOWN_PACE = Pace(trains=False, affordable=16)  # a batch that is soon over, and soon stored


@dataclass(frozen=True, eq=False)
class Called:
    """A callable as an evaluator: what it gives is `columns`, how long it takes is not known."""

    call: Evaluate
    columns: tuple[str, ...]
    pace: Pace = UNKNOWN_PACE

    @property
    def describe(self) -> str:
        """Who judges."""
        name = getattr(self.call, "__name__", type(self.call).__name__)
        return f"candidates judged by {name}"

    def __call__(self, candidates: IntArray) -> Results:
        """The metrics of candidates [K, D], in their order."""
        return self.call(candidates)

    def costs(self, candidates: IntArray) -> Mapping[str, FloatArray]:
        """What its method of this name says of candidates [K, D], if it has one."""
        own = getattr(self.call, "costs", None)
        found: Mapping[str, FloatArray] = own(candidates) if own is not None else {}
        return found


def evaluator_of(given: Evaluate | Evaluator, columns: Sequence[str]) -> Evaluator:
    """The evaluator as it is where it keeps the whole contract; else the callable, which gives `columns`.

    Of a plain callable a method `costs` is used too. One that stops candidates early or tells of margins
    keeps the whole contract.
    """
    return given if isinstance(given, Evaluator) else Called(given, tuple(columns))
