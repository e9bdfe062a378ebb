"""What the front says of the space: choices that can go and ones that are missing, as a config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import numpy as np

from widthwise.config import SearchConfig, load_config
from widthwise.config.write import tables_of
from widthwise.core.arrays import IntArray
from widthwise.core.errors import UserError
from widthwise.core.toml import dumps
from widthwise.search.problem import Problem
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.slot_builder import Field
from widthwise.spaces.space import Decision
from widthwise.study.explanation import FEWEST, Advice, DecisionAdvice
from widthwise.study.trials import Trial

PUSHING = 0.5  # share of them at an end of a decision's choices, from which on one beyond is missing
LEAST_BITS, MOST_BITS = 1, 32


def advice_of(problem: Problem, front: Sequence[Trial], harmless: Set[str] = frozenset()) -> Advice:
    """From the distinct trials of the front; harmless: tensors whose format alone costs no quality, for which
    more bits are not missing."""
    candidates = np.array([trial.candidate for trial in front], dtype=np.int64)
    enough = len(front) >= FEWEST
    decisions = tuple(
        _advice(
            decision, np.bincount(candidates[:, column], minlength=len(decision.choices)), enough, harmless
        )
        for column, decision in enumerate(problem.space.decisions)
    )
    if not enough:
        has = "1 distinct trial" if len(front) == 1 else f"{len(front)} distinct trials"
        why = f"the front has {has}; from fewer than {FEWEST} nothing can be told"
        return Advice(len(front), decisions, why_not=why)
    if not isinstance(problem.space, QuantisationSpace):
        return Advice(
            len(front), decisions, why_not="a config of the next search is written of formats alone"
        )
    if not any(one.never or one.missing for one in decisions):
        return Advice(len(front), decisions, why_not="the front has every choice, and pushes against no end")
    config, why_not = _next_config(problem, decisions)
    return Advice(len(front), decisions, config, why_not)


def _advice(decision: Decision, used: IntArray, enough: bool, harmless: Set[str]) -> DecisionAdvice:
    never = tuple(choice for choice, times in zip(decision.choices, used, strict=True) if not times)
    missing: list[Any] = []
    if enough and decision.ordered and _is_width(decision) and len(decision.choices) > 1:
        low, high = decision.choices[0], decision.choices[-1]
        if used[0] >= PUSHING * used.sum() and low > LEAST_BITS:
            missing.append(low - 1)
        needed = decision.name.removesuffix("_width") not in harmless
        if needed and used[-1] >= PUSHING * used.sum() and high < MOST_BITS:
            missing.append(high + 1)
    return DecisionAdvice(
        decision.name,
        decision.choices,
        tuple(int(times) for times in used),
        never if enough else (),
        tuple(missing),
    )


def _is_width(decision: Decision) -> bool:
    key = decision.name.rpartition("/")[2]
    return key.endswith("_width") and "frac" not in key and "exponent" not in key


def _next_config(problem: Problem, decisions: Sequence[DecisionAdvice]) -> tuple[str | None, str | None]:
    """The config of the next search, and why there is none."""
    space = problem.space
    assert isinstance(space, QuantisationSpace)
    try:
        return _written(problem, space, decisions), None
    except UserError:
        bounded = [replace(one, missing=()) for one in decisions]
        try:
            return _written(problem, space, bounded), None
        except UserError as error:
            return None, str(error)


def _written(problem: Problem, space: QuantisationSpace, decisions: Sequence[DecisionAdvice]) -> str:
    """As TOML, checked: it loads, and makes a space for the network."""
    tables = tables_of(problem.config)
    settings = tables["search"]["search_space"]
    tied = bool(settings["setup"].get("tie"))
    seed: dict[str, Any] = {}
    for layer, fields in space.fields.items():
        key = space.rules.get(layer, layer) if tied else layer
        seed[key] = {"config": {field.key: _kept(field, decisions) for field in fields}}
    if not tied:
        settings["setup"]["by"] = "name"
    settings["seed"] = seed
    config: SearchConfig = load_config(_plain(tables))
    problem.kind.space(problem.graph, problem.data, config.search.space)
    return dumps(_plain(tables))


def _kept(field: Field, decisions: Sequence[DecisionAdvice]) -> list[Any]:
    """The choices of a key in the next search."""
    if field.column is None:
        return list(field.choices)
    advice = decisions[field.column]
    kept = [choice for choice in field.choices if choice not in advice.never]
    both = [*kept, *(choice for choice in advice.missing if choice not in kept)]
    return sorted(both) if advice.missing else both


def _plain(tables: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _plain(value)
        if isinstance(value, Mapping)
        else list(value)
        if isinstance(value, tuple)
        else value
        for key, value in tables.items()
    }
