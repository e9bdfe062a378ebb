"""The tasks by name, ours and those of plug-ins, and the metrics that each can give (imports no torch)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from widthwise.core.errors import UserError, unknown
from widthwise.core.importing import call_object, load_object
from widthwise.core.registry import Entry, Registry
from widthwise.metrics.catalogue import METRICS, Metric, find_metric
from widthwise.metrics.per_class import PER_CLASS, per_class
from widthwise.metrics.quality.task import Task

CLASSIFICATION = "classification"
CLOSENESS = "closeness"
BINARY = "binary"
REGRESSION = "regression"
SEGMENTATION = "segmentation"
TOKENS = "tokens"

METHODS = ("outputs", "check", "loss", "distance", "tally")
FIELDS = ("name", "metrics", "better", "answers")


def _own(name: str, target: str, summary: str, metrics: Sequence[str], *aliases: str) -> Entry[Sequence[str]]:
    return Entry(name, f"widthwise.metrics.quality.{target}", summary, aliases=aliases, about=tuple(metrics))


TASKS: Registry[Sequence[str]] = Registry(
    "task",
    [
        _own(
            CLASSIFICATION,
            "classification:Classification",
            "one of several classes for each sample",
            (
                *("accuracy", "accuracy_macro", "balanced_accuracy", "top_accuracy", "loss"),
                *("precision", "recall", "f1", "auroc", "average_precision", "calibration_error"),
            ),
            "cls",
        ),
        _own(
            BINARY,
            "binary:Binary",
            "whether something is there, or which of several labels",
            ("accuracy", "loss", "precision", "recall", "f1", "auroc", "average_precision"),
            "multilabel",
        ),
        _own(
            REGRESSION,
            "regression:Regression",
            "numbers that the outputs should be near to",
            ("mse", "rmse", "mae", "r2"),
        ),
        _own(
            CLOSENESS,
            "closeness:Closeness",
            "how near outputs stay to those of the float network; needs no targets",
            (
                *("sqnr", "agreement", "cosine", "kl", "mse"),
                *("worst_sqnr", "worst_cosine", "worst_kl", "worst_mse"),
            ),
        ),
        _own(
            SEGMENTATION,
            "segmentation:Segmentation",
            "a class for each place of a sample, as for pixels",
            ("mean_iou", "pixel_accuracy", "loss"),
            "dense",
        ),
        _own(
            TOKENS,
            "tokens:Tokens",
            "a token of a vocabulary for each position, as the next one",
            ("loss", "perplexity", "accuracy"),
            "lm",
        ),
    ],
    group="widthwise.tasks",
    methods=METHODS,
)
"""What is known of ours without importing them are the names of their metrics."""


def task_of(task: Task | str) -> Task:
    """The task of this name, one's own as `module:object`, or the one that is given; raises UserError."""
    if not isinstance(task, str):
        return task
    if ":" in task:
        return _made(task)
    found = TASKS.load(task)
    return cast(Task, found() if isinstance(found, type) else found)


def usual_metrics(task: Task) -> Sequence[str]:
    """The metrics that people look at first, where nobody names others."""
    found: Sequence[str] = getattr(task, "usual", tuple(task.metrics))
    return found


def own_metrics(task: str) -> dict[str, Metric]:
    """The metrics of one of our tasks, by name."""
    return {name: METRICS[name] for name in TASKS.own[task].about or ()}


def _made(spec: str) -> Task:
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


def metric_of(task: Task | str | None, name: str, where: str = "") -> Metric:
    """The metric of this name that a network can be judged by in a task: its own, torchmetrics', or a cost.

    None: in any of our tasks, for the data will tell which. Of ours it imports nothing. Raises UserError for
    one that is unknown, or of another task.
    """
    if task is None:
        return find_metric(name, where)
    title, own = _gives(task)
    if name in own:
        return own[name]
    allowed = [*own, *(cost for cost, metric in METRICS.items() if metric.kind != "quality")]
    try:
        metric = find_metric(name, where)
    except UserError:
        raise unknown(f"metric of {title}", name, allowed, where=where) from None
    asked = per_class(name)
    base = PER_CLASS[asked[0]] if asked else name
    if metric.kind == "quality" and not metric.source and base not in own:
        error = unknown(f"metric of {title}", name, allowed, where=where)
        others = [other for other, entry in TASKS.own.items() if base in (entry.about or ())]
        error.advice = f"{name} is of {' and '.join(others)}" if others else ""
        raise error
    return metric


def tasks_with(metrics: Sequence[Metric]) -> list[str]:
    """Our tasks that can give all of these."""
    names = [metric.name for metric in metrics if metric.kind == "quality" and not metric.source]
    bases = {PER_CLASS[asked[0]] if (asked := per_class(name)) else name for name in names}
    return [task for task, entry in TASKS.own.items() if bases <= set(entry.about or ())]


def _gives(task: Task | str) -> tuple[str, Mapping[str, Metric]]:
    """The name of a task, and its metrics."""
    if isinstance(task, str) and ":" not in task:
        entry = TASKS.find(task)
        if entry.name in TASKS.own:
            return entry.name, own_metrics(entry.name)
    found = task_of(task)
    return found.name, found.metrics
