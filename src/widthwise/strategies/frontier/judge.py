"""What candidates are worth, given what was told: the hypervolume that each is expected to add."""

from __future__ import annotations

from dataclasses import dataclass

import moocore
import numpy as np

from widthwise.space import FloatArray, IntArray, Space
from widthwise.strategies.frontier.gain import improvement, nondominated, normal_nodes
from widthwise.strategies.frontier.kernel import Kernel
from widthwise.strategies.frontier.model import Model, Prediction, answer_model, value_model
from widthwise.strategies.frontier.process import Process, fit, prior
from widthwise.strategies.protocol import CostFunction, Margins

ITERATIONS = 30
REFRESHED = 64  # candidates whose gains are computed anew at once
MOST_ROWS = 500  # that a model is made from
GROWTH = 1.06  # the parameters are fitted anew when so many times more was told
SUCCESS = -1  # in place of the number of an objective: 1 where a candidate did not fail, else 0
DOUBTS = (0.1, 1.0)  # of what is not known, how much counts in choosing, and then before nothing is chosen
MARGIN = 1e-3  # the reference lies so far below the worst, as share of the range


@dataclass(frozen=True)
class Outlook:
    """Candidates [P, D] with what is known, [P, M], and what the models expect."""

    rows: IntArray
    known: FloatArray  # [P, M], NaN where modelled
    predictions: dict[int, Prediction]  # of each modelled objective
    success: FloatArray  # [P], chance not to fail

    def only(self, chosen: IntArray) -> Outlook:
        """For some of the candidates, by their numbers."""
        predictions = {
            column: Prediction(one.mean[chosen], one.variance[chosen], one.half[:, chosen])
            for column, one in self.predictions.items()
        }
        return Outlook(self.rows[chosen], self.known[chosen], predictions, self.success[chosen])

    def and_those(self, other: Outlook) -> Outlook:
        """For the candidates of both, in this order; both must come from the same models."""
        predictions = {
            column: Prediction(
                np.concatenate([one.mean, other.predictions[column].mean]),
                np.concatenate([one.variance, other.predictions[column].variance]),
                np.concatenate([one.half, other.predictions[column].half], axis=1),
            )
            for column, one in self.predictions.items()
        }
        return Outlook(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.known, other.known]),
            predictions,
            np.concatenate([self.success, other.success]),
        )


class Judge:
    """Learns from results and gives expected gains."""

    def __init__(self, space: Space, objectives: int, costs: CostFunction | None) -> None:
        self._kernel = Kernel(space)
        self._objectives, self._costs = objectives, costs
        self._rows = np.empty((0, len(space.decisions)), dtype=np.int64)
        self._values = np.empty((0, objectives))
        self._parameters: dict[int, tuple[int, FloatArray]] = {}
        self._models: dict[int, Model] = {}
        self._margins: Margins | None = None
        self._doubt = DOUBTS[-1]
        self._answers: dict[int, FloatArray] = {}  # margins [S] by the trial's number, as far as asked for
        self._unasked: list[IntArray] = []  # numbers of complete trials in the batches that they were told in

    def learn_margins(self, margins: Margins) -> None:
        """Model objectives that count right answers by the margins of each sample."""
        self._margins = margins

    @property
    def doubts(self) -> tuple[float, ...]:
        """How sure to be of models of answers, one after the other as long as no gain is expected.

        With little doubt, what is merely unknown is not tried: the first candidates differ much, so errors
        with one of them left out are far greater than those that follow. But the search would end early.
        """
        return DOUBTS if self._margins is not None else DOUBTS[-1:]

    def set_doubt(self, doubt: float) -> None:
        """From here on, one of `doubts`."""
        if doubt != self._doubt:
            self._doubt, self._models = doubt, {}

    @property
    def _complete(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        return np.asarray(np.isfinite(self._values).all(axis=1))

    @property
    def has_results(self) -> bool:
        """Whether anything but failures was told."""
        return bool(self._complete.any())

    @property
    def front(self) -> IntArray:
        """The told candidates [F, D] that none dominates."""
        rows, values = self._rows[self._complete], self._values[self._complete]
        if not len(rows):
            return rows
        found: IntArray = rows[moocore.is_nondominated(values, maximise=True)]
        return found

    def learn(self, rows: IntArray, values: FloatArray) -> None:
        """Take in results [k, M] of candidates [k, D]."""
        self._unasked.append(len(self._rows) + np.flatnonzero(np.isfinite(values).all(axis=1)))
        self._rows = np.concatenate([self._rows, rows])
        self._values = np.concatenate([self._values, values])
        self._models = {}

    def gains(self, outlook: Outlook) -> FloatArray:
        """Expected gain [P] in hypervolume of each candidate, as share of the front's."""
        front, whole = self._front_values()
        return np.asarray(self._expected(outlook, front) / whole)

    def pick(self, outlook: Outlook, count: int, pending: IntArray, *, least: float) -> list[int]:
        """Numbers of up to `count` of the candidates.

        Each is the best after those before it, and the pending [Q, D] that were proposed but not told about,
        turned out as expected; none whose gain would then be below `least`, as share of the hypervolume.
        """
        choosable = len(outlook.rows)
        if len(pending):
            outlook = outlook.and_those(self.outlook(pending))
        front, whole = self._front_values()
        for number in range(choosable, len(outlook.rows)):
            outlook, front = self._as_expected(outlook, front, number)
        gains = self._expected(outlook, front)
        gains[choosable:] = -1.0
        picked: list[int] = []
        while len(picked) < min(count, choosable):
            if picked:
                self._refresh(gains, outlook, front)
            if picked and gains.max() < least * whole:
                break
            picked.append(int(gains.argmax()))
            gains[picked[-1]] = -1.0
            if len(picked) < count:
                outlook, front = self._as_expected(outlook, front, picked[-1])
        return picked

    def _refresh(self, gains: FloatArray, outlook: Outlook, front: FloatArray) -> None:
        """Make the greatest of the gains [P] exact. Gains only shrink, so older ones are upper bounds."""
        order = np.argsort(-gains, kind="stable")
        for first in range(0, len(order), REFRESHED):
            some = order[first : first + REFRESHED]
            some = some[gains[some] >= 0]
            gains[some] = self._expected(outlook.only(some), front)
            following = order[first + REFRESHED : first + REFRESHED + 1]
            if not len(following) or gains[order[: first + REFRESHED]].max() >= gains[following[0]]:
                return

    def _front_values(self) -> tuple[FloatArray, float]:
        """The front [F, M] as _scaled, and its hypervolume."""
        front = nondominated(self._scaled(self._values[self._complete]))
        whole = moocore.hypervolume(front, ref=np.zeros(self._objectives), maximise=True)
        return front, max(float(whole), 1e-12)

    def _scaled(self, values: FloatArray) -> FloatArray:
        told = self._values[self._complete]
        worst, reach = told.min(axis=0), np.ptp(told, axis=0)
        reach = np.where(reach > 0, reach, np.maximum(np.abs(worst), 1.0))
        return np.asarray((values - worst) / reach + MARGIN)

    def outlook(self, rows: IntArray) -> Outlook:
        """What is known and expected of candidates [P, D]."""
        known = np.full((len(rows), self._objectives), np.nan)
        if self._costs is not None and len(rows):
            known = np.asarray(self._costs(rows), dtype=np.float64)
        modelled = np.flatnonzero(~np.isfinite(known).all(axis=0))
        predictions = {int(column): self._model(int(column)).predict(rows) for column in modelled}
        return Outlook(rows, known, predictions, self._success(rows))

    def _success(self, rows: IntArray) -> FloatArray:
        if self._complete.all():
            return np.ones(len(rows))
        return np.clip(self._model(SUCCESS).predict(rows).mean, 0, 1)

    def _expected(self, outlook: Outlook, front: FloatArray) -> FloatArray:
        """Gain [P] in hypervolume as _scaled: the mean over what the models hold possible."""
        normals, weights = normal_nodes(len(outlook.predictions))
        points = np.repeat(outlook.known[:, None, :], len(normals), axis=1)
        for number, (column, one) in enumerate(outlook.predictions.items()):
            points[:, :, column] = one.mean[:, None] + np.sqrt(one.variance)[:, None] * normals[:, number]
        gains = improvement(front, self._scaled(points)) @ weights
        return np.asarray(gains * outlook.success)

    def _as_expected(self, outlook: Outlook, front: FloatArray, number: int) -> tuple[Outlook, FloatArray]:
        point = outlook.known[number].copy()
        after = {}
        for column, one in outlook.predictions.items():
            point[column] = one.mean[number]
            after[column] = self._model(column).expecting(one, outlook.rows, number)
        front = nondominated(np.vstack([front, self._scaled(point)]))
        return Outlook(outlook.rows, outlook.known, after, outlook.success), front

    def _model(self, column: int) -> Model:
        """Of one objective, or of SUCCESS, from all that was told."""
        if column not in self._models:
            chosen = self._samples(column, len(self._rows))
            outputs = self._outputs(column, chosen)
            process = Process(self._kernel, self._rows[chosen], outputs, self._fitted(column))
            shares = self._shares(column)
            if shares is None:
                self._models[column] = value_model(process)
            else:
                self._models[column] = answer_model(
                    process, shares, self._values[chosen, column], doubt=self._doubt
                )
        return self._models[column]

    def _fitted(self, column: int) -> FloatArray:
        """Parameters from the first trials; how many follows from how many there are."""
        count, following = 1, 2
        while following <= len(self._rows):
            count, following = following, max(following + 1, int(following * GROWTH))
        if self._parameters.get(column, (0, None))[0] != count:
            chosen = self._samples(column, count)
            if not len(chosen):  # none of the first succeeded
                return prior(self._kernel)[0]
            outputs = self._outputs(column, chosen)
            found = fit(self._kernel, self._rows[chosen], outputs, iterations=ITERATIONS)
            self._parameters[column] = count, found
        return self._parameters[column][1]

    def _samples(self, column: int, count: int) -> IntArray:
        """Numbers of at most MOST_ROWS of the first `count` trials that a model is made from."""
        if column == SUCCESS:
            return np.arange(count)[-MOST_ROWS:]
        rows = np.flatnonzero(self._complete[:count])
        if len(rows) > MOST_ROWS:
            ranks = moocore.pareto_rank(self._values[rows], maximise=True)
            rows = rows[np.sort(np.argsort(ranks, kind="stable")[:MOST_ROWS])]
        return rows

    def _outputs(self, column: int, chosen: IntArray) -> FloatArray:
        """What a process learns of the trials with these numbers, [n, S]."""
        if column == SUCCESS:
            return self._complete[chosen, None].astype(np.float64)
        if self._shares(column) is None:
            return self._values[chosen, column, None]
        return self._answers_of(chosen)

    def _shares(self, column: int) -> FloatArray | None:
        """What each sample counts in an objective that counts right answers; None for all others."""
        if self._margins is None or column == SUCCESS:
            return None
        shares: FloatArray = self._margins.shares[column]
        return None if np.isnan(shares).any() else shares

    def _answers_of(self, chosen: IntArray) -> FloatArray:
        """Margins [n, S] of the complete trials with these numbers.

        They are asked for in the batches that were told, whenever that is: how many candidates are evaluated
        together may change the last digit, and a search that is taken up has to see the same ones.
        """
        for numbers in self._unasked:
            if self._margins is not None and len(numbers):
                found = self._margins.of(self._rows[numbers])
                self._answers.update(zip(numbers.tolist(), found, strict=True))
        self._unasked = []
        return np.array([self._answers[number] for number in chosen])
