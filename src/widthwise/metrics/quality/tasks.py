"""The tasks by name, ours and those of plug-ins, and the metrics that each can give (imports no torch)."""

from __future__ import annotations

from typing import cast

from widthwise.core.errors import UserError, unknown
from widthwise.core.importing import call_object, load_object
from widthwise.core.registry import Entry, Registry
from widthwise.metrics.catalogue import METRICS, Metric, find_metric, per_class
from widthwise.metrics.quality.task import Task

CLASSIFICATION = "classification"  # where nothing else is said

METHODS = ("outputs", "check", "loss", "distance", "tally")
FIELDS = ("name", "metrics", "better", "answers")

TASKS: Registry[None] = Registry(
    "task",
    [
        Entry(
            CLASSIFICATION,
            "widthwise.metrics.quality.classification:Classification",
            "one of several classes for each sample",
            aliases=("cls",),
        )
    ],
    group="widthwise.tasks",
    methods=METHODS,
)


def task_of(task: Task | str) -> Task:
    """The task of this name, one's own as `module:object`, or the one that is given; raises UserError."""
    if not isinstance(task, str):
        return task
    if ":" in task:
        return _own(task)
    found = TASKS.load(task)
    return cast(Task, found() if isinstance(found, type) else found)


def _own(spec: str) -> Task:
    """The task that "module:object" names, a class or an object; UserError where it is none."""
    found = load_object(spec, what="task")
    made = call_object(found, spec, what="task") if isinstance(found, type) else found
    missing = [name for name in (*FIELDS, *METHODS) if not hasattr(made, name)]
    if missing:
        raise UserError(
            f"task {spec}: is a {type(made).__name__} without {', '.join(missing)}; a task has "
            f"{', '.join((*FIELDS, *METHODS))}"
        )
    return cast(Task, made)


def metric_of(task: Task | str, name: str, where: str = "") -> Metric:
    """The metric of this name that a network can be judged by in a task: its own, torchmetrics', or a cost.

    Of classification it imports nothing. Raises UserError for one that is unknown, or of another task.
    """
    if CLASSIFICATION in (task, getattr(task, "name", None)):
        return find_metric(name, where)
    found = task_of(task)
    if name in found.metrics:
        return found.metrics[name]
    allowed = [*found.metrics, *(cost for cost, metric in METRICS.items() if metric.kind != "quality")]
    try:
        metric = find_metric(name, where)
    except UserError:
        raise unknown(f"metric of {found.name}", name, allowed, where=where) from None
    base = per_class(name)
    if metric.kind == "quality" and not metric.source and (base[0] if base else name) not in found.metrics:
        raise unknown(f"metric of {found.name}", name, allowed, where=where)
    return metric
