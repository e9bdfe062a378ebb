"""The quality of a picked trial in detail, beside the float network's, looked at once the search is over."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from widthwise.core.importing import describe_error
from widthwise.evaluators.engine import Evaluator
from widthwise.metrics.quality.detail.collecting import Collector, collector_of
from widthwise.metrics.quality.detail.telling import detail_of
from widthwise.metrics.quality.tasks import CLASSIFICATION, CLOSENESS, REGRESSION
from widthwise.study.detail import KeptDetail

if TYPE_CHECKING:
    from widthwise.data.facts import DataFacts
    from widthwise.evaluators.judging import Judging
    from widthwise.network.graph import Graph
    from widthwise.search.problem import Problem
    from widthwise.study.study import Study
    from widthwise.study.trials import Trial

UNITS = {CLASSIFICATION: "samples", "binary": "samples"}  # what classes are counted in; else places

logger = logging.getLogger(__name__)


def keep_detail(problem: Problem, study: Study, trial: Trial, folder: Path) -> None:
    """Writes it into the run folder, on the data that the search judged on.

    Nothing where somebody's own evaluator or task judged, or where the run keeps no network of the trial.
    """
    task = problem.judging.task
    if problem.own_evaluator:
        return
    try:
        metric = task.metrics[task.better[0]]
        judging = replace(problem.judging, metrics=(metric,), objectives=(), options={})
        pick = _collected(study.network(trial), problem, judging)
        if pick is None:
            return
        with_float = bool(study.record.settings.float_metrics) and task.name != CLOSENESS
        other = _collected(problem.graph, problem, judging) if with_float else None
        collector, about = pick
        names = about.target_names if task.name == REGRESSION else about.class_names
        unit = UNITS.get(task.name, "places")
        found = detail_of(collector, other[0] if other else None, names, unit=unit)
        KeptDetail(trial.number, task.name, judging.part, len(collector.of_samples), found).write(folder)
    except Exception as error:  # what was found is kept: this only shows it
        logger.warning(
            "the quality of the picked trial could not be told in detail: %s", describe_error(error)
        )


def _collected(network: Graph, problem: Problem, judging: Judging) -> tuple[Collector, DataFacts] | None:
    """What was added up of a network's outputs, and the data; None for a task that isn't ours."""
    evaluator = Evaluator(network, None, problem.data, judging)
    fitting = evaluator.prepared.fitting
    into = collector_of(judging.task, fitting.shape)
    if into is None:
        return None
    evaluator.add_to(into, np.zeros((1, 0), dtype=np.int64))
    return into, fitting.about
