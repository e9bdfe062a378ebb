"""What was told, and the models that are made from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import moocore
import numpy as np

from widthwise.core.arrays import BoolArray, FloatArray, IntArray
from widthwise.metrics.goals import pareto
from widthwise.metrics.quality.follows import Follows, figure
from widthwise.spaces.space import Space
from widthwise.strategies.frontier.kernel import Kernel
from widthwise.strategies.frontier.model import Model, answer_model, value_model
from widthwise.strategies.frontier.probing import Probes
from widthwise.strategies.frontier.process import Process, fit, prior
from widthwise.strategies.protocol import Margins

ITERATIONS = 30
MOST_ROWS = 500  # that a model is made from
PROBED_FOR = 2  # times as many trials as probes, from which on these are left out
GROWTH = 1.06  # the parameters are fitted anew when so many times more was told
SUCCESS = -1  # in place of the number of an objective: 1 where a candidate did not fail, else 0
DOUBTS = (0.1, 1.0)  # of what is not known, how much counts in choosing, and then before nothing is chosen
DOUBT_PROBED = 0.01  # and before them, where single changes were probed: in a large space much is unknown


@dataclass(frozen=True)
class Basis:
    """What a model is made from: candidates [n, D], outputs [n, S], the objective's values [n].

    follows: how the objective follows from the outputs; None where they are its values.
    """

    rows: IntArray
    outputs: FloatArray
    values: FloatArray
    follows: Follows | None = None


class Models:
    """A model of each objective that is asked for, from all results so far."""

    def __init__(self, space: Space, objectives: int) -> None:
        self._kernel = Kernel(space)
        self._rows = np.empty((0, len(space.decisions)), dtype=np.int64)
        self._values = np.empty((0, objectives))
        self._parameters: dict[int, tuple[int, FloatArray]] = {}
        self._made: dict[int, Model] = {}
        self._margins: Margins | None = None
        self._probes: Probes | None = None
        self._doubt = DOUBTS[-1]
        self._answers: dict[int, FloatArray] = {}  # margins [S] by the trial's number, as far as asked for
        self._batches: list[IntArray] = []  # numbers of complete trials in the batches that they were told in
        self._batch_of = np.empty(0, dtype=np.int64)  # the batch of each trial
        self._answered: set[int] = set()  # batches whose margins were asked for

    def learn_margins(self, margins: Margins) -> None:
        """Model objectives that follow from the answers for single samples by those."""
        self._margins = margins

    def learn_probes(self, probes: Probes) -> None:
        """Use these too, until there are twice as many trials, which tell of all samples."""
        self._probes, self._made = probes, {}

    @property
    def doubts(self) -> tuple[float, ...]:
        """How sure to be of models of answers, one after the other as long as no gain is expected.

        With little doubt, what is merely unknown is not tried: the first candidates differ much, so errors
        with one of them left out are far greater than those that follow. But the search would end early.
        """
        if self._margins is None:
            return DOUBTS[-1:]
        return DOUBTS if self._probes is None else (DOUBT_PROBED, *DOUBTS)

    def set_doubt(self, doubt: float) -> None:
        """From here on, one of `doubts`."""
        if doubt != self._doubt:
            self._doubt, self._made = doubt, {}

    @property
    def _complete(self) -> BoolArray:
        return np.asarray(np.isfinite(self._values).all(axis=1))

    @property
    def all_succeeded(self) -> bool:
        """Whether nothing that was told is a failure."""
        return bool(self._complete.all())

    @property
    def values(self) -> FloatArray:
        """What was told and is no failure, [n, M]."""
        return self._values[self._complete]

    @property
    def front(self) -> IntArray:
        """The told candidates [F, D] that none dominates."""
        rows, values = self._rows[self._complete], self.values
        if not len(rows):
            return rows
        found: IntArray = rows[moocore.is_nondominated(values, maximise=True)]
        return found

    @property
    def whole_front(self) -> IntArray:
        """The same, with all that have equal values."""
        found: IntArray = self._rows[self._complete][pareto.nondominated(self.values)]
        return found

    def learn(self, batches: Sequence[tuple[IntArray, FloatArray]]) -> None:
        """Take in results [k, M] of candidates [k, D], of each batch."""
        first, numbers = len(self._rows), [self._batch_of]
        for _, values in batches:
            numbers.append(np.full(len(values), len(self._batches)))
            self._batches.append(first + np.flatnonzero(np.isfinite(values).all(axis=1)))
            first += len(values)
        self._batch_of = np.concatenate(numbers)
        self._rows = np.concatenate([self._rows, *(rows for rows, _ in batches)])
        self._values = np.concatenate([self._values, *(values for _, values in batches)])
        self._made = {}

    def of(self, column: int) -> Model:
        """Of one objective, or of SUCCESS."""
        if column not in self._made:
            basis = self._basis(column, len(self._rows))
            process = Process(self._kernel, basis.rows, basis.outputs, self._fitted(column))
            self._made[column] = (
                value_model(process)
                if basis.follows is None
                else answer_model(process, basis.follows, basis.values, doubt=self._doubt)
            )
        return self._made[column]

    def _fitted(self, column: int) -> FloatArray:
        """Parameters from the first trials; how many follows from how many there are."""
        count, following = 1, 2
        while following <= len(self._rows):
            count, following = following, max(following + 1, int(following * GROWTH))
        if self._parameters.get(column, (0, None))[0] != count:
            basis = self._basis(column, count)
            if not len(basis.rows):  # none of the first succeeded
                return prior(self._kernel)[0]
            found = fit(self._kernel, basis.rows, basis.outputs, iterations=ITERATIONS)
            self._parameters[column] = count, found
        return self._parameters[column][1]

    def _basis(self, column: int, count: int) -> Basis:
        """What a model is made from, of the first `count` trials.

        Outputs are answers where the objective follows from them. Trials whose answers can't be had are left
        out.
        """
        if column == SUCCESS:
            numbers = np.arange(count)[-MOST_ROWS:]
            successes = self._complete[numbers].astype(np.float64)
            return Basis(self._rows[numbers], successes[:, None], successes)
        numbers = self._most_telling(np.flatnonzero(self._complete[:count]))
        follows = self._follows(column)
        if follows is not None:
            answers = self._answers_of(numbers)
            known = np.isfinite(answers).all(axis=1)
            if known.any():
                numbers = numbers[known]
                told = Basis(self._rows[numbers], answers[known], self._values[numbers, column], follows)
                probes = self._probes
                if probes is not None and count < PROBED_FOR * len(probes.rows):
                    return _with_probes(told, probes)
                return _counted(told, np.flatnonzero(follows.shares))
        values = self._values[numbers, column]
        return Basis(self._rows[numbers], values[:, None], values)

    def _most_telling(self, numbers: IntArray) -> IntArray:
        """At most MOST_ROWS of the trials with these numbers, those nearest to the front."""
        if len(numbers) <= MOST_ROWS:
            return numbers
        ranks = moocore.pareto_rank(self._values[numbers], maximise=True)
        return numbers[np.sort(np.argsort(ranks, kind="stable")[:MOST_ROWS])]

    def _follows(self, column: int) -> Follows | None:
        """How an objective follows from what is told of samples; None where it doesn't."""
        if self._margins is None or column == SUCCESS:
            return None
        return self._margins.follows[column]

    def _answers_of(self, numbers: IntArray) -> FloatArray:
        """Margins [n, S] of the complete trials with these numbers.

        They are asked for in the batches that were told, whenever that is: how many candidates are evaluated
        together may change the last digit, and a search that is taken up has to see the same ones.
        """
        assert self._margins is not None  # there are shares
        for which in np.unique(self._batch_of[numbers]).tolist():
            if which not in self._answered:
                batch = self._batches[which]
                self._answers.update(zip(batch.tolist(), self._margins.of(self._rows[batch]), strict=True))
                self._answered.add(which)
        if not len(numbers):
            return np.empty((0, max(len(one.shares) for one in self._margins.follows if one is not None)))
        return np.array([self._answers[number] for number in numbers])


def _counted(basis: Basis, columns: IntArray) -> Basis:
    """The same of some of the outputs alone, those that the objective follows from."""
    assert basis.follows is not None
    follows = replace(basis.follows, shares=basis.follows.shares[columns])
    return replace(basis, outputs=basis.outputs[:, columns], follows=follows)


def _with_probes(told: Basis, probes: Probes) -> Basis:
    """With the probes that were not told as trials, by the samples that these tell of."""
    assert told.follows is not None
    counted, follows = probes.part_of(told.follows)
    known = {row.tobytes() for row in told.rows}
    new = [number for number, row in enumerate(probes.rows) if row.tobytes() not in known]
    values = probes.values[new][:, counted]
    return Basis(
        np.concatenate([told.rows, probes.rows[new]]),
        np.concatenate([told.outputs[:, probes.columns[counted]], values]),
        np.concatenate([told.values, figure(follows, values)]),
        follows,
    )
