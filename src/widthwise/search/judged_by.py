"""By what a search judges its candidates: the metrics that its config names, and how they are had."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from widthwise.config import SearchConfig
from widthwise.config.metrics import metrics_of
from widthwise.evaluators.judging import Judging
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.quality.task import Task
from widthwise.metrics.quality.tasks import metric_of, task_of, tasks_with
from widthwise.spaces.kinds import kind_of


def named_metrics(config: SearchConfig) -> tuple[Metric, ...]:
    """The metrics that the config names: of its objectives and its bounds."""
    search = config.search
    return _each_once(
        [
            *(objective.metric for objective in search.objectives),
            *(constraint.metric for constraint in search.constraints),
        ]
    )


def metrics_to_pick(config: SearchConfig) -> tuple[Metric, ...]:
    """The metrics of a search before its data is read: of all tasks that it may be, where none is said."""
    named = _named_and_own(config)
    tasks = tasks_with(named) if config.task is None else [config.task]
    return _each_once([*named, *(metric for name in tasks for metric in _always(config, task_of(name)))])


def judging_of(config: SearchConfig, task: Task, *, memory: int | None = None) -> Judging:
    """How the config has candidates judged: by the metrics that it names, the task's and its kind's.

    Raises UserError for a metric of another task.
    """
    search, named = config.search, _named_and_own(config)
    find = metrics_of(task, config.metrics)
    for metric in named:
        find(metric.name, config.source)
    return Judging(
        metrics=_each_once([*named, *_always(config, task)]),
        options=options_of(config),
        task=task,
        output=config.output,
        part=search.evaluation.part,
        samples=search.evaluation.samples,
        compare_to=search.evaluation.compare_to,
        device=device_of(config),
        memory=memory,
        seed=config.seed,
        objectives=tuple(objective.name for objective in search.objectives),
    )


def options_of(config: SearchConfig) -> dict[str, dict[str, Any]]:
    """The options of the classes that compute metrics, by metric name."""
    return {declared.metric.name: dict(declared.options) for declared in config.metrics if declared.options}


def device_of(config: SearchConfig) -> str:
    """The device for the config's accelerator: the GPU where one is asked for and there is one."""
    return "cuda" if config.accelerator in ("gpu", "auto") and torch.cuda.is_available() else "cpu"


def _named_and_own(config: SearchConfig) -> tuple[Metric, ...]:
    """The metrics that the config names, and those that it declares."""
    return (*named_metrics(config), *(declared.metric for declared in config.metrics))


def _always(config: SearchConfig, task: Task) -> list[Metric]:
    """What is stored of every candidate."""
    return [metric_of(task, name) for name in (*task.better, *kind_of(config.search.space).always)]


def _each_once(metrics: Iterable[Metric]) -> tuple[Metric, ...]:
    return tuple({metric.name: metric for metric in metrics}.values())
