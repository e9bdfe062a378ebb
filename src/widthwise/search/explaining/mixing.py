"""Did mixing help? The front against what one would do without a search, at equal cost, with its noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.goals.pareto import hypervolume, nondominated
from widthwise.metrics.spread import SIGMAS
from widthwise.search.explaining.judged import Judge, Terms
from widthwise.study.explanation import Against, Baseline, Meeting, Mixing, Verdict
from widthwise.study.trials import Trial

MOST_MET = 16  # baselines of a kind that the front is compared with, evenly spread over their front
Kind = Literal["uniform", "naive"]


def mixing(
    aim: Aim,
    judge: Judge,
    terms: Terms,
    front: Sequence[Trial],
    baselines: dict[Kind, Sequence[Baseline]],
    *,
    part: str,
    samples: int,
) -> Mixing:
    """The front's trials against baselines of each kind, all judged by `judge` on its part of the data.

    Which trial meets a baseline follows from the figures that the search had, so on other samples than those
    nothing is chosen by chance.
    """
    assert terms.quality is not None
    assert terms.cost is not None
    found = {kind: some for kind, some in baselines.items() if some}
    ours = _Points(aim, judge, terms, [trial.candidate for trial in front])
    theirs = {
        kind: _Points(aim, judge, terms, [one.candidate for one in some]) for kind, some in found.items()
    }
    everything = np.concatenate([ours.values, *(points.values for points in theirs.values())])
    worst = np.nanmin(everything, axis=0)
    whole = hypervolume(everything, worst)

    def share(values: FloatArray) -> float:
        return hypervolume(values, worst) / whole if whole > 0 else 1.0

    chosen_by = terms.better(_columns([trial.metrics for trial in front], terms.quality.name))
    against = tuple(
        _against(kind, found[kind], points, ours, front, chosen_by, judge, terms, share(points.values))
        for kind, points in theirs.items()
    )
    return Mixing(terms.quality.name, terms.cost.name, part, samples, share(ours.values), against)


class _Points:
    """Candidates [n, D] with their objectives [n, M] as the judge has them, quality and cost among these."""

    def __init__(self, aim: Aim, judge: Judge, terms: Terms, candidates: Sequence[tuple[int, ...]]) -> None:
        self.candidates: IntArray = np.array(candidates, dtype=np.int64)
        metrics = judge(self.candidates)
        self.values = np.stack([_signed(metrics[o.name], o.direction) for o in aim.objectives], axis=1)
        self.better, self.cheaper = terms.better(metrics), terms.cheaper(metrics)


def _signed(values: FloatArray, direction: str) -> FloatArray:
    return values if direction == "maximize" else -values


def _columns(rows: Sequence[dict[str, float]], name: str) -> dict[str, FloatArray]:
    return {name: np.array([row[name] for row in rows])}


def _against(
    kind: Kind,
    baselines: Sequence[Baseline],
    theirs: _Points,
    ours: _Points,
    front: Sequence[Trial],
    chosen_by: FloatArray,
    judge: Judge,
    terms: Terms,
    share: float,
) -> Against:
    assert terms.quality is not None
    met = _to_meet(np.stack([terms.better(_metrics_of(baselines, terms)), theirs.cheaper], axis=1))
    with_whom = {row: _best_at(theirs.cheaper[row], ours.cheaper, chosen_by) for row in met}
    pairs = [(row, own) for row, own in with_whom.items() if own is not None]
    *each, error = _errors(judge, terms.quality.name, theirs, ours, pairs)
    errors = dict(zip((row for row, _ in pairs), each, strict=True))
    meetings = tuple(
        _meeting(baselines[row], theirs, row, ours, own, front, terms, errors.get(row))
        for row, own in with_whom.items()
    )
    gains = np.array([one.better for one in meetings if one.better is not None])
    better = float(gains.mean()) if len(gains) else None
    return Against(kind, meetings, better, error, _verdict(gains, error), share)


def _metrics_of(baselines: Sequence[Baseline], terms: Terms) -> dict[str, FloatArray]:
    assert terms.quality is not None
    name = terms.quality.name
    return {name: np.array([one.metrics[name] for one in baselines])}


def _to_meet(values: FloatArray) -> list[int]:
    """The baselines' own front, from cheap to dear, at most MOST_MET of it."""
    rows = np.flatnonzero(nondominated(values))
    rows = rows[np.argsort(-values[rows, 1], kind="stable")]
    _, first = np.unique(values[rows], axis=0, return_index=True)
    rows = rows[np.sort(first)]
    kept = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_MET)).round().astype(np.int64))
    found: list[int] = rows[kept].tolist()
    return found


def _best_at(cheaper: float, ours: FloatArray, chosen_by: FloatArray) -> int | None:
    """Our best trial, as the search judged it, that is no dearer."""
    affordable = np.flatnonzero(ours >= cheaper - 1e-9 * abs(cheaper))
    if not len(affordable):
        return None
    return int(affordable[np.argmax(chosen_by[affordable])])


def _meeting(
    baseline: Baseline,
    theirs: _Points,
    row: int,
    ours: _Points,
    own: int | None,
    front: Sequence[Trial],
    terms: Terms,
    error: float | None,
) -> Meeting:
    assert terms.cost is not None
    cost_sign = 1.0 if terms.cost.direction == "maximize" else -1.0
    cost, quality = cost_sign * float(theirs.cheaper[row]), terms.sign * float(theirs.better[row])
    if own is None:
        return Meeting(baseline.label, cost, quality, None, None, None, None)
    better = float(ours.better[own] - theirs.better[row])
    return Meeting(
        baseline.label, cost, quality, front[own].number, terms.sign * float(ours.better[own]), better, error
    )


def _errors(
    judge: Judge, quality: str, theirs: _Points, ours: _Points, pairs: Sequence[tuple[int, int]]
) -> list[float | None]:
    """The standard error of each pair's difference, and that of their mean: the samples are the same.

    What meets itself differs by nothing, whatever the samples.
    """
    unknown: list[float | None] = [None] * (len(pairs) + 1)
    if not pairs:
        return unknown
    rows = [*(theirs.candidates[row] for row, _ in pairs), *(ours.candidates[own] for _, own in pairs)]
    candidates, which = np.unique(np.array(rows), axis=0, return_inverse=True)
    sure = judge.sureness(candidates, quality)
    if sure is None:
        return unknown
    one = np.eye(len(candidates))[which.reshape(2, len(pairs))]  # [2, pairs, candidates]
    differences = one[1] - one[0]
    errors: list[float | None] = sure.errors_of(
        quality, np.vstack([differences, differences.mean(axis=0)])
    ).tolist()
    return errors


def _verdict(gains: FloatArray, error: float | None) -> Verdict:
    if not len(gains) or not np.isfinite(gains).all():
        return "unclear"
    better = float(gains.mean())
    if (gains == 0).all():
        return "equal"
    if error is None or abs(better) <= SIGMAS * error:
        return "unclear"
    return "better" if better > 0 else "worse"
