"""What an evaluator gives back for a batch of candidates, and what an evaluator is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.screen import LINES, html_table, one_screen

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from widthwise.evaluators.latest import Latest
    from widthwise.metrics.quality.follows import Follows
    from widthwise.network.graph import Graph
    from widthwise.network.realised import Realised
    from widthwise.spaces.slots import Slot


@dataclass(frozen=True, eq=False)
class Results(Mapping[str, FloatArray]):
    """One row of metrics for each candidate of a batch of K; a mapping by metric name: rows["accuracy"].

    columns: name to values [K] float64, NaN where the candidate failed.
    failures: row to the reason, for the candidates that failed alone; the others of the batch are good.
    pruned: rows that were stopped early because others do better; their quality is NaN. halted: of such rows,
    where it is known, when they were stopped and how sure that was.
    causes: row to what was raised, for failures where that is at hand.
    notes: row to what should be known of its figures, a line each.
    """

    columns: Mapping[str, FloatArray]
    failures: Mapping[int, str] = field(default_factory=dict)
    pruned: frozenset[int] = frozenset()
    causes: Mapping[int, Exception] = field(default_factory=dict)
    halted: Mapping[int, str] = field(default_factory=dict)
    notes: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def stopped(self) -> dict[int, str]:
        """The reason to store for each row that was stopped early."""
        more = {row: f": {self.halted[row]}" for row in self.pruned & self.halted.keys()}
        return {row: PRUNED + more.get(row, "") for row in self.pruned}

    @property
    def metrics(self) -> Mapping[str, FloatArray]:
        """The columns, as a trial names its figures."""
        return self.columns

    def __getitem__(self, name: str) -> FloatArray:
        return self.columns[name]

    def __repr__(self) -> str:
        rows = [f"  {row}: {', '.join(words)}" for row, words in enumerate(self._rows(named=True))]
        return one_screen([f"{self._title()}:", *rows])

    def _repr_html_(self) -> str:
        rows = [[str(row), *words] for row, words in enumerate(self._rows(named=False))]
        return html_table(self._title(), ["candidate", *self.columns], rows)

    def _title(self) -> str:
        count = len(next(iter(self.columns.values()), ()))
        failed = f", {len(self.failures):,} failed" if self.failures else ""
        return f"Results of {count:,} candidate{'' if count == 1 else 's'}{failed}"

    def _rows(self, *, named: bool) -> list[list[str]]:
        """A row a candidate: its figures as text, of the first LINES."""
        shown = {name: values[:LINES] for name, values in self.columns.items()}
        count = len(next(iter(shown.values()), ()))
        made = [
            [f"{name} {values[row]:.6g}" if named else f"{values[row]:.6g}" for name, values in shown.items()]
            for row in range(count)
        ]
        more = len(next(iter(self.columns.values()), ())) - count
        return [*made, *[["…"]] * min(more, 1)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)


PRUNED = "pruned: stopped early, as others do better"  # how the reason stored with such a trial begins
UNMEASURED = "not measured: others do better, however fast it is"  # the same for what has to be measured
STOPPED = (PRUNED, UNMEASURED)  # trials whose reasons begin so stopped early, and are no failures


def is_stopped(reason: str) -> bool:
    """Whether a trial with this reason was stopped early or not measured, which is no failure."""
    return reason.startswith(STOPPED)


Evaluate = Callable[[IntArray], Results]
"""Candidates [K, D] of choice indices to their metrics, in their order: all that is needed of an evaluator
where nothing is asked but results."""


@dataclass(frozen=True)
class Pace:
    """How long candidates take, by which batches and work for several processes are measured out.

    trains: each candidate takes long. affordable: candidates in a few seconds, at least 1.
    together: so many are compared with one another while they are evaluated, so they are one batch in one
        process; 1: each is judged by itself.
    repeats: how often each is evaluated, where the metrics are means over several trainings.
    at_once: so many are trained at once, so they are one part for a worker.
    apart: whether candidates can be evaluated apart from one another; else each goes on from others, and
        several processes would all do the same.
    """

    trains: bool
    affordable: int
    together: int = 1
    repeats: int = 1
    at_once: int = 1
    apart: bool = True


@runtime_checkable
class Evaluator(Protocol):
    """Scores batches of candidates of one space.

    What goes wrong with one candidate (an exception, no memory, NaN) belongs into `Results.failures`; what a
    call raises ends the search, except where it is called with a single candidate: that one then failed. What
    only some can do is in protocols of their own: `Realises`, `Prunes`, `HasMargins`.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all that a call gives, spreads over repeats included."""
        ...

    @property
    def pace(self) -> Pace:
        """How long candidates take."""
        ...

    @property
    def describe(self) -> str:
        """How candidates are evaluated, for people: one line that goes on after "candidates …; "."""
        ...

    def __call__(self, candidates: IntArray, /) -> Results:
        """The metrics of candidates [K, D] of choice indices, in their order."""
        ...

    def costs(self, candidates: IntArray, /) -> Mapping[str, FloatArray]:
        """Metrics by name [K] of candidates [K, D] that are known exactly without evaluating.

        They equal those that a call gives; {} where nothing is known.
        """
        ...


Hopeless = Callable[[Mapping[str, FloatArray], Mapping[str, FloatArray]], "NDArray[np.bool_]"]
"""Exact costs, and the best quality still possible, of K candidates to which of them [K] can be stopped."""


@runtime_checkable
class Prunes(Protocol):
    """An evaluator that can stop candidates early."""

    def evaluate_pruning(self, candidates: IntArray, *, hopeless: Hopeless | None = None) -> Results:
        """As a call, but `hopeless` is asked along the way which candidates to stop."""
        ...


@runtime_checkable
class HasMargins(Protocol):
    """An evaluator that can say what some of the samples contribute: by how much a candidate is right."""

    def follows(self, metrics: Sequence[str], /) -> Sequence[Follows | None]:
        """Of each metric how it follows from the values that `margins` then gives; None where it doesn't."""
        ...

    def margins(self, candidates: IntArray, /) -> FloatArray:
        """Values [K, S] float32 of candidates [K, D], as `follows` was asked; a row of NaN for a failure."""
        ...


@runtime_checkable
class HasFewMargins(Protocol):
    """An evaluator that can say it of fewer samples, in a part of the time."""

    def few_margins(self, candidates: IntArray, /) -> tuple[FloatArray, IntArray]:
        """Some of the values of `margins` of candidates [K, D], [K, s], and which of them, [s]."""
        ...


@runtime_checkable
class Realises(Protocol):
    """An evaluator whose candidates' networks can be had again."""

    def at_hand(self, candidate: IntArray, /) -> Realised | None:
        """All that makes the network of a candidate [D] again, where that takes no training; else None."""
        ...

    def realise(self, candidate: IntArray, /) -> Realised:
        """The same whatever it takes: trained again from the same seed where it is not at hand.

        Of several trainings it is the first (`repeat` 0). Raises UserError where the training fails.
        """
        ...


@runtime_checkable
class HasSlots(Protocol):
    """An evaluator of formats in one network: the formats that each tensor may have, calibrated."""

    @property
    def slots(self) -> Sequence[Slot]:
        """In the order of execution; for a candidate see `widthwise.spaces.slots`."""
        ...


@runtime_checkable
class HasSlotsAsGiven(Protocol):
    """An evaluator of formats in networks of several widths, each calibrated by itself."""

    @property
    def slots_as_given(self) -> Sequence[Slot]:
        """The formats that each tensor may have, calibrated in the network as it was given."""
        ...


@runtime_checkable
class Begins(Protocol):
    """An evaluator whose candidates' formats come out of a training."""

    @property
    def begins(self) -> Graph:
        """The network in the formats with which the training begins, which are like those that come out."""
        ...


@runtime_checkable
class SharesWeights(Protocol):
    """An evaluator whose candidates are one network's, which is trained once for all of them.

    It trains when it first has to, unless `train` was called; costs that follow from weights are known then.
    """

    def train(self) -> None:
        """Trains the network, or takes the weights that a run's folder keeps; UserError where it diverges."""
        ...

    def keep_in(self, folder: Path, /) -> None:
        """From now on, keep the weights in a run's folder, and take those that it keeps."""
        ...

    def shared(self) -> Graph:
        """The network in float with the weights that all candidates have."""
        ...

    def shared_mark(self) -> str:
        """A hash of its weights."""
        ...


@runtime_checkable
class KeepsLatest(Protocol):
    """An evaluator that trains: what it trained of late is at hand."""

    latest: Latest


@runtime_checkable
class HasShapes(Protocol):
    """An evaluator whose candidates differ in the sizes of their layers: all that their networks' time, but
    not their quality, follows from."""

    def shapes(self, candidates: IntArray, /) -> IntArray:
        """[K, F] of candidates [K, D]: the sizes that differ."""
        ...

    def shaped(self, candidate: IntArray, /) -> Realised:
        """The network of a candidate [D] with whatever weights: no training."""
        ...
