"""What candidates are worth, given what was told: the hypervolume that each is expected to add."""

from __future__ import annotations

from dataclasses import dataclass

import moocore
import numpy as np

from widthwise.space import FloatArray, IntArray, Space
from widthwise.strategies.frontier.gain import NODES, improvement, nondominated, spread_normals
from widthwise.strategies.frontier.kernel import Kernel
from widthwise.strategies.frontier.model import Model, Prediction, fit
from widthwise.strategies.protocol import CostFunction

ITERATIONS = 30
MOST_ROWS = 500  # that a model is made from
GROWTH = 1.06  # the parameters are fitted anew when so many times more was told
MARGIN = 1e-3  # the reference lies so far below the worst, as share of the range


@dataclass(frozen=True)
class Outlook:
    """Candidates [P, D] with what is known, [P, M], and what the models expect."""

    rows: IntArray
    known: FloatArray  # [P, M], NaN where modelled
    predictions: dict[int, Prediction]
    success: FloatArray  # [P], chance not to fail


class Judge:
    """Learns from results and gives expected gains."""

    def __init__(self, space: Space, objectives: int, costs: CostFunction | None) -> None:
        self._kernel = Kernel(space)
        self._objectives, self._costs = objectives, costs
        self._rows = np.empty((0, len(space.decisions)), dtype=np.int64)
        self._values = np.empty((0, objectives))
        self._parameters: dict[int, tuple[int, FloatArray]] = {}
        self._models: dict[int, Model] = {}

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
        self._rows = np.concatenate([self._rows, rows])
        self._values = np.concatenate([self._values, values])
        self._models = {}

    def gains(self, rows: IntArray) -> FloatArray:
        """Expected gain [P] in hypervolume of each candidate [P, D], as share of the front's."""
        front, whole = self._front_values()
        return np.asarray(self._expected(self._outlook(rows), front) / whole)

    def pick(self, rows: IntArray, count: int, pending: IntArray) -> list[int]:
        """Numbers of up to `count` of the candidates [P, D], each the best after those before turned out as expected.

        So do the pending [Q, D], which were proposed but not told about.
        """
        outlook = self._outlook(np.concatenate([rows, pending]))
        front, _ = self._front_values()
        taken = np.zeros(len(outlook.rows), dtype=bool)
        taken[len(rows) :] = True
        for number in range(len(rows), len(outlook.rows)):
            outlook, front = self._as_expected(outlook, front, number)
        picked: list[int] = []
        while len(picked) < min(count, len(rows)):
            gains = self._expected(outlook, front)
            gains[taken] = -1.0
            picked.append(int(gains.argmax()))
            taken[picked[-1]] = True
            outlook, front = self._as_expected(outlook, front, picked[-1])
        return picked

    def _front_values(self) -> tuple[FloatArray, float]:
        """The front in units of the range of what was told, above the reference, [F, M], and its hypervolume."""
        front = nondominated(self._scaled(self._values[self._complete]))
        whole = moocore.hypervolume(front, ref=np.zeros(self._objectives), maximise=True)
        return front, max(float(whole), 1e-12)

    def _scaled(self, values: FloatArray) -> FloatArray:
        told = self._values[self._complete]
        worst, reach = told.min(axis=0), np.ptp(told, axis=0)
        reach = np.where(reach > 0, reach, np.maximum(np.abs(worst), 1.0))
        return np.asarray((values - worst) / reach + MARGIN)

    def _outlook(self, rows: IntArray) -> Outlook:
        known = np.full((len(rows), self._objectives), np.nan)
        if self._costs is not None and len(rows):
            known = np.asarray(self._costs(rows), dtype=np.float64)
        modelled = np.flatnonzero(~np.isfinite(known).all(axis=0))
        predictions = {int(column): self._model(int(column)).predict(rows) for column in modelled}
        return Outlook(rows, known, predictions, self._success(rows))

    def _success(self, rows: IntArray) -> FloatArray:
        if self._complete.all():
            return np.ones(len(rows))
        model = self._model(-1)
        return np.asarray(np.clip(model.values(model.predict(rows).mean), 0, 1))

    def _expected(self, outlook: Outlook, front: FloatArray) -> FloatArray:
        normals = spread_normals(NODES, len(outlook.predictions))
        points = np.repeat(outlook.known[:, None, :], len(normals), axis=1)
        for number, (column, prediction) in enumerate(outlook.predictions.items()):
            drawn = prediction.mean[:, None] + np.sqrt(prediction.variance)[:, None] * normals[:, number]
            points[:, :, column] = self._models[column].values(drawn)
        gains = improvement(front, self._scaled(points)).mean(axis=1)
        return np.asarray(gains * outlook.success)

    def _as_expected(self, outlook: Outlook, front: FloatArray, number: int) -> tuple[Outlook, FloatArray]:
        point = outlook.known[number].copy()
        predictions = {}
        for column, prediction in outlook.predictions.items():
            model = self._models[column]
            point[column] = model.values(prediction.mean[number : number + 1])[0]
            predictions[column] = model.expecting(prediction, outlook.rows, number)
        front = nondominated(np.vstack([front, self._scaled(point)]))
        return Outlook(outlook.rows, outlook.known, predictions, outlook.success), front

    def _model(self, column: int) -> Model:
        """Of one objective, or of success (-1), from all that was told."""
        if column not in self._models:
            rows, values = self._samples(column, len(self._rows))
            fitted = self._fitted(column)
            self._models[column] = Model(self._kernel, rows, values, parameters=fitted)
        return self._models[column]

    def _fitted(self, column: int) -> FloatArray:
        """Parameters from the trials up to a number that depends on nothing but how many there are."""
        count, following = 1, 2
        while following <= len(self._rows):
            count, following = following, max(following + 1, int(following * GROWTH))
        if self._parameters.get(column, (0, None))[0] != count:
            rows, values = self._samples(column, count)
            if len(rows) == 0:
                rows, values = self._samples(column, len(self._rows))
            self._parameters[column] = count, fit(self._kernel, rows, values, iterations=ITERATIONS)
        return self._parameters[column][1]

    def _samples(self, column: int, count: int) -> tuple[IntArray, FloatArray]:
        """At most MOST_ROWS of the first `count` trials: the candidates and what the model is to give."""
        rows, values, complete = self._rows[:count], self._values[:count], self._complete[:count]
        if column < 0:
            return rows[-MOST_ROWS:], complete[-MOST_ROWS:].astype(np.float64)
        rows, values = rows[complete], values[complete]
        if len(rows) > MOST_ROWS:
            kept = np.sort(np.argsort(moocore.pareto_rank(values, maximise=True), kind="stable")[:MOST_ROWS])
            rows, values = rows[kept], values[kept]
        return rows, values[:, column]
