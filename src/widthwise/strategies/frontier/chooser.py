"""What candidates are worth, given what was told: the hypervolume that each is expected to add."""

from __future__ import annotations

from dataclasses import dataclass

import moocore
import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.strategies.frontier.gain import improvement, nondominated, normal_nodes
from widthwise.strategies.frontier.model import Prediction
from widthwise.strategies.frontier.models import SUCCESS, Models
from widthwise.strategies.protocol import CostFunction

REFRESHED = 64  # candidates whose gains are computed anew at once
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


class Chooser:
    """Gives expected gains by what models hold possible."""

    def __init__(self, models: Models, objectives: int, costs: CostFunction | None) -> None:
        self._models, self._objectives, self._costs = models, objectives, costs

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
        front = nondominated(self._scaled(self._models.values))
        whole = moocore.hypervolume(front, ref=np.zeros(self._objectives), maximise=True)
        return front, max(float(whole), 1e-12)

    def _scaled(self, values: FloatArray) -> FloatArray:
        told = self._models.values
        worst, reach = told.min(axis=0), np.ptp(told, axis=0)
        reach = np.where(reach > 0, reach, np.maximum(np.abs(worst), 1.0))
        return np.asarray((values - worst) / reach + MARGIN)

    def outlook(self, rows: IntArray) -> Outlook:
        """What is known and expected of candidates [P, D]."""
        known = np.full((len(rows), self._objectives), np.nan)
        if self._costs is not None and len(rows):
            known = np.asarray(self._costs(rows), dtype=np.float64)
        modelled = np.flatnonzero(~np.isfinite(known).all(axis=0))
        predictions = {int(column): self._models.of(int(column)).predict(rows) for column in modelled}
        return Outlook(rows, known, predictions, self._success(rows))

    def _success(self, rows: IntArray) -> FloatArray:
        if self._models.all_succeeded:
            return np.ones(len(rows))
        return np.clip(self._models.of(SUCCESS).predict(rows).mean, 0, 1)

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
            after[column] = self._models.of(column).expecting(one, outlook.rows, number)
        front = nondominated(np.vstack([front, self._scaled(point)]))
        return Outlook(outlook.rows, outlook.known, after, outlook.success), front
