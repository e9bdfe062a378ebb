"""Timing calls that take turns, so that a machine that gets slower meanwhile does so for all of them."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import UserError
from widthwise.metrics.timing import FEWEST_ROUNDS

Call = Callable[[], object]
Clock = Callable[[], float]

BLOCK = 5e-4  # seconds that a turn takes at least, of as many calls as that is
SECONDS = 10.0  # that turns take about at most, which are fewer then
ATTEMPTS = 3
# quartiles this far apart leave a median of 100 rounds uncertain by 1.25 * 0.25 / 1.35 / 10 = 2.3 %
WIDE = 0.25
OFF = 0.05  # by which a network may differ from itself


@dataclass(frozen=True)
class Quartiles:
    """The lower quartile, the median and the upper quartile of the rounds."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: FloatArray) -> Quartiles:
        """Of values [rounds]."""
        return cls(*map(float, np.percentile(values, [25, 50, 75])))

    @property
    def spread(self) -> float:
        """From the lower to the upper, as a share of the median."""
        return (self.high - self.low) / self.median

    def __str__(self) -> str:
        return f"{self.low:.3g} to {self.high:.3g}"


@dataclass(frozen=True)
class Measured:
    """How long a call takes beside another: seconds of both (medians), and their ratio.

    control: the ratio of the other to itself, in the same rounds.
    """

    seconds: float
    base_seconds: float
    ratio: Quartiles
    control: Quartiles
    rounds: int

    @property
    def trouble(self) -> str:
        """Why it says nothing, or ""."""
        if self.control.spread > WIDE or abs(self.control.median - 1) > OFF:
            return f"the float network takes {self.control} times as long as itself"
        if self.ratio.spread > WIDE:
            return f"it takes {self.ratio} times as long as the float network"
        return ""


class NotMeasurableError(UserError):
    """The machine is too restless for a figure."""


def measured(
    call: Call, base: Call, again: Call, *, warm_up: int, rounds: int, clock: Clock = perf_counter
) -> Measured:
    """A call beside a base, and the base beside itself (`again`), all in turns.

    warm_up: calls of each before. Raises NotMeasurableError where quartiles are wide, ATTEMPTS times, each
    with twice the rounds of the one before.
    """
    for attempt in range(ATTEMPTS):
        seconds = turns((call, base, again), warm_up=warm_up, rounds=rounds * 2**attempt, clock=clock)
        found = _measured(seconds)
        if not found.trouble:
            return found
    raise NotMeasurableError(
        f"not measurable here: {found.trouble} (quartiles of {found.rounds} rounds); end what else runs on "
        "the machine, or give it more rounds"
    )


def turns(calls: Sequence[Call], *, warm_up: int, rounds: int, clock: Clock = perf_counter) -> FloatArray:
    """Seconds of a call [rounds, calls]: in each round every one has a turn, another first each time."""
    for call in calls:
        for _ in range(warm_up):
            call()
    counts = [_calls_of_a_turn(call, clock) for call in calls]
    with _without_collecting():
        began = clock()
        found = np.empty((rounds, len(calls)))
        for done in range(rounds):
            for place in range(len(calls)):
                which = (done + place) % len(calls)
                found[done, which] = _turn(calls[which], counts[which], clock)
            if done + 1 >= FEWEST_ROUNDS and clock() - began > SECONDS:
                return found[: done + 1]
    return found


def _measured(seconds: FloatArray) -> Measured:
    call, base, again = seconds.T
    both = (base + again) / 2
    return Measured(
        seconds=float(np.median(call)),
        base_seconds=float(np.median(both)),
        ratio=Quartiles.of(call / both),
        control=Quartiles.of(again / base),
        rounds=len(seconds),
    )


def _calls_of_a_turn(call: Call, clock: Clock) -> int:
    once = min(_turn(call, 1, clock) for _ in range(3))
    return max(math.ceil(BLOCK / max(once, 1e-9)), 1)


def _turn(call: Call, count: int, clock: Clock) -> float:
    start = clock()
    for _ in range(count):
        call()
    return (clock() - start) / count


@contextmanager
def _without_collecting() -> Iterator[None]:
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
