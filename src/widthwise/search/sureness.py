"""How sure a search is of its front: standard errors of its trials, computed once the search is over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from widthwise.core.arrays import IntArray
from widthwise.core.importing import describe_error
from widthwise.evaluators.networks import sureness_of_networks
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.metrics.quality.making import with_targets
from widthwise.search.spread import spread_over_costs
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
    trials = spread_over_costs([tie.trial for tie in study.ties], study.aim, most)
    if not trials or not problem.judging.quality:
        return
    candidates = np.array([trial.candidate for trial in trials], dtype=np.int64)
    try:
        with_float = bool(study.record.settings.float_metrics)
        asked = {"with_float": True} if with_float else {}
        if any(tuned.better for tuned in study.finetuned.values()):
            found = _by_networks(problem, study, trials, with_float=with_float)
        else:
            found = judge.sureness(candidates, lambda row: study.network(trials[row]).model, **asked)
        kept_of([*(trial.number for trial in trials), *[FLOAT][:with_float]], found).write(folder)
    except Exception as error:  # what was found is kept: this only says how sure it is
        logger.warning("how sure the figures are can't be told: %s", describe_error(error))


def _by_networks(problem: Problem, study: Study, trials: Sequence[Trial], *, with_float: bool) -> Sureness:
    """Of trials some of which have weights of their own, which no evaluator of formats knows."""
    judging, network = problem.judging, problem.graph.network
    data = with_targets(problem.data, network, judging.task, judging.output)
    fitting = check_data_fits_model(network, data, judging.task, judging.output, name=judging.part)
    models = [study.network(trial).model for trial in trials]
    return sureness_of_networks([*models, *[problem.graph.model][:with_float]], data, fitting, judging)


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
