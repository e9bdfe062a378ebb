"""How sure a search is of its front: standard errors of its trials, computed once the search is over."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from widthwise.core.arrays import IntArray
from widthwise.core.importing import describe_error
from widthwise.study.sureness import FLOAT, KeptSureness

if TYPE_CHECKING:
    from torch import nn

    from widthwise.metrics.quality.sureness import Sureness
    from widthwise.search.problem import Problem
    from widthwise.study.study import Study
    from widthwise.study.trials import Trial

MOST = 100  # trials of which it is told: more than are printed or drawn as a map
RESAMPLED = 30  # of figures that are no means over samples, and take resamples

logger = logging.getLogger(__name__)


@runtime_checkable
class KnowsSureness(Protocol):
    """An evaluator that can say how sure the figures of a few candidates are."""

    @property
    def sureness_of(self) -> int:
        """Of how many candidates at most, so that it takes seconds and fits into memory."""
        ...

    def sureness(
        self, candidates: IntArray, networks: Callable[[int], nn.Module], /, *, with_float: bool = False
    ) -> Sureness:
        """Of candidates [K, D], judged anew; networks: the network of a row, where it has to be had.

        with_float: and then of the network that was searched, as row K.
        """
        ...


def keep_sureness(problem: Problem, study: Study, folder: Path) -> None:
    """Writes into the run folder how sure rows of the front are, MOST over all costs, where that can be told.

    With several trainings of each candidate it is their spread that tells.
    """
    judge = problem.evaluator
    if not isinstance(judge, KnowsSureness) or study.repeats > 1 or study.interrupted is not None:
        return
    quality = [metric for metric in problem.judging.metrics if metric.kind == "quality"]
    means = all(metric.judges == "sample" or not metric.source for metric in quality)
    most = min(MOST if means else RESAMPLED, judge.sureness_of - 1)  # and float
    trials = _spread([tie.trial for tie in study.ties], study, most)
    if not trials or not problem.judging.quality:
        return
    candidates = np.array([trial.candidate for trial in trials], dtype=np.int64)
    try:
        with_float = bool(study.record.settings.float_metrics)
        asked = {"with_float": True} if with_float else {}
        found = judge.sureness(candidates, lambda row: study.network(trials[row]).model, **asked)
        kept_of([*(trial.number for trial in trials), *[FLOAT][:with_float]], found).write(folder)
    except Exception as error:  # what was found is kept: this only says how sure it is
        logger.warning("how sure the figures are can't be told: %s", describe_error(error))


def _spread(trials: list[Trial], study: Study, most: int) -> list[Trial]:
    """At most so many, evenly over the costs with both ends, by number."""
    if len(trials) <= most:
        return trials
    costs = [o for o in study.aim.objectives if o.metric.is_hardware] or list(study.aim.objectives)
    trials.sort(key=lambda trial: trial.metrics[costs[0].name])
    rows = {round(i * (len(trials) - 1) / max(most - 1, 1)) for i in range(most)}
    return sorted((trials[row] for row in rows), key=lambda trial: trial.number)


def kept_of(numbers: list[int], found: Sureness) -> KeptSureness:
    """As a run folder keeps it, by trial number, FLOAT for the network that was searched."""
    errors: dict[int, dict[str, float]] = {number: {} for number in numbers}
    close = {}
    for name in found.covariances:
        own, alike = found.errors(name), found.close(name)
        for number, error in zip(numbers, own.tolist(), strict=True):
            if np.isfinite(error):
                errors[number][name] = error
        pairs = [(a, b) for a, b in combinations(range(len(numbers)), 2) if alike[a, b]]
        close[name] = frozenset(frozenset((numbers[a], numbers[b])) for a, b in pairs)
    return KeptSureness(found.samples, errors, close)
