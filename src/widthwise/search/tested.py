"""A picked trial and the float network judged on test data, once the search is over."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from widthwise.core.importing import describe_error
from widthwise.data.facts import facts_of
from widthwise.evaluators.engine import evaluate, standard_errors
from widthwise.study.sureness import FLOAT
from widthwise.study.tested import KeptTests, read_tests

if TYPE_CHECKING:
    from widthwise.evaluators.judging import Judging
    from widthwise.network.graph import Graph
    from widthwise.search.problem import Problem
    from widthwise.study.study import Study
    from widthwise.study.trials import Trial

TEST = "test"

logger = logging.getLogger(__name__)


def keep_tested(problem: Problem, study: Study, trial: Trial, folder: Path) -> None:
    """Writes into the run folder what the trial is worth on test data by the objectives, and float beside it.

    Nothing where the search was judged on these data itself, where there are none, where somebody's own
    evaluator judged, or where the run keeps no network of the trial.
    """
    samples = facts_of(problem.data).sizes.get(TEST, 0)
    named = set(study.aim.names)
    quality = tuple(m for m in problem.judging.metrics if m.kind == "quality" and m.name in named)
    if problem.own_evaluator or problem.judging.part == TEST or not samples or not quality:
        return
    judging = replace(problem.judging, part=TEST, metrics=quality, objectives=())
    try:
        kept = read_tests(folder)
        figures, errors = dict(kept.figures), dict(kept.errors)
        for number, network in ((trial.number, study.network(trial)), (FLOAT, problem.graph)):
            figures[number], errors[number] = _judged(network, problem, judging)
        count = samples if judging.samples is None else min(samples, judging.samples)
        KeptTests(count, figures, errors).write(folder)
    except Exception as error:  # what was found is kept: this only says what it is worth elsewhere
        logger.warning("the picked trial could not be judged on test data: %s", describe_error(error))


def _judged(network: Graph, problem: Problem, judging: Judging) -> tuple[dict[str, float], dict[str, float]]:
    found = evaluate(network, problem.data, judging)
    errors = standard_errors(network, problem.data, judging)
    return (
        {name: value for name, value in found.items() if math.isfinite(value)},
        {name: value for name, value in errors.items() if math.isfinite(value)},
    )
