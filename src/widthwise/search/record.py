"""What is stored of a search beside its trials, and the fingerprint by which a stored one is known again."""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any

from widthwise.config.schema import DeclaredMetric
from widthwise.config.write import toml_of
from widthwise.core.hashing import hash_batches, hash_value, hash_weights, text_of
from widthwise.core.later import LATER
from widthwise.data.facts import facts_of
from widthwise.evaluators.engine import evaluate
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.cost.table import UnknownCostError
from widthwise.metrics.own import described
from widthwise.metrics.quality.tasks import CLASSIFICATION
from widthwise.metrics.spread import spread_of
from widthwise.metrics.stored import metric_of_name
from widthwise.metrics.table_file import TableFile
from widthwise.search.problem import Problem, layers_as_text
from widthwise.spaces.conditional import Conditional
from widthwise.study.fingerprint import EACH_ONCE, NETWORKS, PROPOSALS, fingerprint
from widthwise.study.store import StudyRecord, StudySettings

NUMBERED = "each from the seed and its number"


def record_of(problem: Problem, name: str) -> StudyRecord:
    """What the store keeps of this search; evaluates the network as it is, to compare with."""
    config = problem.config
    settings = StudySettings(
        aim=problem.aim,
        constraints=config.search.constraints,
        float_metrics={} if problem.own_evaluator else float_metrics(problem),
        data=facts_of(problem.data).note,
        model=config.model or type(problem.graph.model).__name__,
        strategy=problem.strategy_name,
        untrained=problem.untrained,
        repeats=problem.evaluator.pace.repeats,
        named=problem.named,
    )
    return StudyRecord(
        name=name,
        space=problem.space,
        metrics=stored_metrics(problem),
        settings=settings,
        fingerprint=fingerprint_of(problem),
        config=toml_of(config),
    )


def stored_metrics(problem: Problem) -> tuple[Metric, ...]:
    """All that the evaluator gives; of its own columns, which no config names, only the name is known."""
    judged = {metric.name: metric for metric in problem.judging.metrics}
    known = {**{metric.name: metric for metric in map(spread_of, judged.values())}, **judged}
    return tuple(known.get(name) or metric_of_name(name) for name in problem.columns)


def fingerprint_of(problem: Problem) -> dict[str, str]:
    """Everything that changes the results of a search, by name."""
    config, search = problem.config, problem.config.search
    task = problem.judging.task.name
    others = {} if task == CLASSIFICATION else {"task": task}
    if config.model is not None and not problem.named:  # the hash of its weights can be the named one's
        others["network"] = f"given from Python, {hash_value(layers_as_text(problem.network))}"
    if own := [_own_metric(declared) for declared in config.metrics]:
        others["own metrics"] = ", ".join(own)
    if len(problem.columns) > len(problem.evaluator.columns):
        others["timing"] = text_of(asdict(search.timing))
    if not (search.uniform_first or problem.is_enumerated):
        others["uniform first"] = "no"
    if problem.target is not None:
        others["target"] = problem.target.name
    if isinstance(problem.space, Conditional) and problem.space.has_spare:
        others[NETWORKS] = EACH_ONCE
    if problem.numbered:
        others[PROPOSALS] = NUMBERED
    if problem.own_evaluator:
        others["evaluator"] = problem.evaluator.describe
    return fingerprint(
        space=problem.space,
        aim=problem.aim,
        metrics=problem.columns,
        strategy=problem.strategy_name,
        seed=config.seed,
        options=problem.strategy_options,
        weights=hash_weights(problem.graph.model),
        data=hash_batches(problem.judging.loader(problem.data)),
        evaluation=asdict(search.evaluation),
        candidates=hash_value(_known_by(search.space)),
        constraints=", ".join(map(str, search.constraints)) or "none",
        **others,
    )


def _own_metric(declared: DeclaredMetric) -> str:
    """What it is computed by, and with which options."""
    metric, options = declared.metric, text_of(dict(declared.options)) if declared.options else ""
    if isinstance(metric.source, TableFile):
        return f"{metric.name} by {metric.description} {metric.source.mark}"
    return f"{metric.name} by {described(metric.source)} {metric.judges} {options}".strip()


def float_metrics(problem: Problem) -> dict[str, float]:
    """The metrics of the network as it is, by the engine: what candidates are compared with.

    NaN for costs by a table that has only what candidates may have.
    """
    judging = replace(problem.judging, memory=None)
    by_table = [metric for metric in judging.metrics if isinstance(metric.source, TableFile)]
    measured = [metric for metric in judging.metrics if metric.kind == "measured"]
    others = tuple(metric for metric in judging.metrics if metric not in (*by_table, *measured))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is not counted: said with the search
        found = evaluate(problem.graph, problem.data, replace(judging, metrics=others))
        for metric in by_table:
            try:
                found |= evaluate(problem.graph, problem.data, replace(judging, metrics=(metric,)))
            except UnknownCostError:
                found[metric.name] = math.nan
    if problem.measurer is not None:
        found |= problem.measurer[0].float_figures()
    return {metric.name: found[metric.name] for metric in judging.metrics}


def _known_by(space: Any) -> dict[str, Any]:
    """The settings of a space, and those in them, that tell what its candidates are."""
    whole, found = asdict(space), {}
    for item in fields(space):
        value = getattr(space, item.name)
        if not (item.metadata.get(LATER) and value == item.default):
            found[item.name] = _known_by(value) if is_dataclass(value) else whole[item.name]
    return found
