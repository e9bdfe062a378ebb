"""The tally of a task's figures and of one's own together."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.data.facts import DataFacts
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.quality.own import OwnTally, Room, own_figures
from widthwise.metrics.quality.task import Options, Tally, Task


def tally_of(
    task: Task,
    metrics: Sequence[Metric],
    about: DataFacts,
    outputs: tuple[int, ...],
    options: Options,
    room: Room,
) -> Tally:
    """An empty tally of qualities, the task's and one's own; outputs: their shape for one sample.

    Raises UserError for a metric that the task can't give, and for one's own that can't be made.
    """
    own = [metric for metric in metrics if metric.is_own]
    if not own:
        return task.tally(0, [metric.name for metric in metrics], about, outputs, options)
    figures = own_figures(own, options, room)
    names = [metric.name for metric in metrics if not metric.is_own]
    if not names:
        return OwnTally(0, figures)
    of_task = {name: found for name, found in options.items() if name in names}
    return Joined(task.tally(0, names, about, outputs, of_task), OwnTally(0, figures), names)


class Joined:
    """Two tallies side by side: what fails in one fails in both."""

    def __init__(self, first: Tally, own: OwnTally, names: Sequence[str]) -> None:
        """names: of the figures that the first has."""
        self.failures: dict[int, str] = {}
        self._first, self._own, self._names = first, own, names

    @property
    def causes(self) -> dict[int, Exception]:
        """Row to what one's own raised."""
        return self._own.causes

    @property
    def row_bytes(self) -> int:
        """About how much memory a candidate takes."""
        return self._first.row_bytes + self._own.row_bytes

    def fresh(self, rows: int) -> Joined:
        """An empty one of the same figures."""
        return Joined(self._first.fresh(rows), self._own.fresh(rows), self._names)

    def add(self, rows: IntArray, outputs: Tensor, versions: IntArray, targets: Tensor) -> None:
        """Takes in outputs [V, n, ...] for targets [n, ...]: those of rows [R'], each with its version."""
        self._first.add(rows, outputs, versions, targets)
        self._own.add(rows, outputs, versions, targets)
        self._share_failures()

    def values(self, metrics: Sequence[str], rows: IntArray | None = None) -> dict[str, FloatArray]:
        """The figures [R]; NaN for candidates that failed, and that are not in `rows`."""
        self._share_failures()
        found = self._own.values(self._of_own(metrics), rows)
        self._share_failures()
        found |= self._first.values([name for name in metrics if name in self._names], rows)
        self._share_failures()
        for values in found.values():
            values[list(self.failures)] = float("nan")
        return {name: found[name] for name in metrics}

    def best_possible(self, metrics: Sequence[str], total: int) -> dict[str, FloatArray]:
        """The best figure [R] that each candidate can still have."""
        found = self._own.best_possible(self._of_own(metrics), total)
        found |= self._first.best_possible([name for name in metrics if name in self._names], total)
        return {name: found[name] for name in metrics}

    def _of_own(self, metrics: Sequence[str]) -> list[str]:
        return [name for name in metrics if name not in self._names]

    def _share_failures(self) -> None:
        """A caller may have added some too."""
        parts = (self.failures, self._first.failures, self._own.failures)
        every = {**parts[2], **parts[1], **parts[0]}
        for failures in parts:
            failures.update(every)
