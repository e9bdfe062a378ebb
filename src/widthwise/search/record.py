"""What is stored of a search beside its trials, and the fingerprint by which a stored one is known again."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from widthwise.config.write import toml_of
from widthwise.core.hashing import hash_batches, hash_value, hash_weights
from widthwise.evaluators.engine import evaluate
from widthwise.search.untrained import is_untrained
from widthwise.study.fingerprint import fingerprint
from widthwise.study.store import StudyRecord

if TYPE_CHECKING:
    from widthwise.search.problem import Problem


def record_of(problem: Problem, name: str) -> StudyRecord:
    """What the store keeps of this search; evaluates the network as it is, to compare with."""
    config, search = problem.config, problem.config.search
    settings = {
        "aim": problem.aim.as_json(),
        "constraints": [asdict(constraint) for constraint in search.constraints],
        "float": {} if problem.own_evaluator else float_metrics(problem),
        "data": str(getattr(problem.data, "note", "")),
        "model": config.model or type(problem.graph.model).__name__,
        "strategy": problem.strategy_name,
        "untrained": is_untrained(config, problem.network),
        "repeats": problem.evaluator.pace.repeats,
    }
    return StudyRecord(
        name=name,
        space=problem.space,
        metrics=problem.evaluator.columns,
        settings=settings,
        fingerprint=fingerprint_of(problem),
        config=toml_of(config),
    )


def fingerprint_of(problem: Problem) -> dict[str, str]:
    """Everything that changes the results of a search, by name."""
    config, search = problem.config, problem.config.search
    loader = getattr(problem.data, f"{search.evaluation.part}_dataloader")
    others: dict[str, Any] = {"evaluator": problem.evaluator.describe} if problem.own_evaluator else {}
    return fingerprint(
        space=problem.space,
        aim=problem.aim,
        metrics=problem.evaluator.columns,
        strategy=problem.strategy_name,
        seed=config.seed,
        options=problem.strategy_options,
        weights=hash_weights(problem.graph.model),
        data=hash_batches(loader()),
        evaluation=asdict(search.evaluation),
        candidates=hash_value(asdict(search.space)),
        constraints=", ".join(map(str, search.constraints)) or "none",
        **others,
    )


def float_metrics(problem: Problem) -> dict[str, float]:
    """The metrics of the network as it is, by the engine: what candidates are compared with."""
    return evaluate(problem.graph, problem.data, replace(problem.judging, memory=None))
