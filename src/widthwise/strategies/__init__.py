"""Strategies by name: what proposes candidates and learns from results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.strategies.protocol import CostFunction, Setting, Strategy
from widthwise.strategies.registry import REGISTRY, STRATEGIES, Option, StrategySource, strategy_source

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from widthwise.metrics.catalogue import Direction
    from widthwise.spaces.space import Space

__all__ = [
    "STRATEGIES",
    "CostFunction",
    "Option",
    "Setting",
    "Strategy",
    "StrategySource",
    "strategy",
    "strategy_source",
]


def strategy(
    name: str | BaseSampler,
    space: Space,
    *,
    objectives: Mapping[str, Direction],
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    costs: CostFunction | None = None,
) -> Strategy:
    """The strategy of this name over the space, ready to be asked.

    `name` is one of STRATEGIES in any spelling, `module:Class`, `optunahub/package`, or an Optuna sampler.
    `objectives` are metric names with their direction; what is told is to be maximised all the same. `costs`
    gives what is known of candidates without evaluating them. Raises UserError for unknown names and options
    and where the strategy can't handle the space.
    """
    _check_space(space, objectives)
    setting = Setting(space, objectives, seed, dict(options or {}), costs)
    if not isinstance(name, str):
        from widthwise.strategies.optuna import OptunaStrategy

        return OptunaStrategy(setting, sampler=name)
    source = strategy_source(name)
    setting = replace(setting, options=source.checked(setting.options))
    if source.target.endswith(":OptunaStrategy"):
        from widthwise.strategies.optuna import OptunaStrategy

        return OptunaStrategy(setting, sampler=source.name)
    entry = REGISTRY.get(source.name)
    if source.name not in STRATEGIES:
        from widthwise.core.importing import load_object
        from widthwise.strategies.own import own_strategy

        made_by = load_object(source.target, what="strategy") if entry is None else REGISTRY.loaded(entry)
        return own_strategy(made_by, source.name, setting)
    assert entry is not None
    made: Strategy = REGISTRY.loaded(entry)(setting)
    return made


def _check_space(space: Space, objectives: Mapping[str, Direction]) -> None:
    if not objectives:
        raise UserError("strategy: no objective to search by; give at least one metric with its direction")
    for decision in space.decisions:
        if not decision.choices:
            raise UserError(f"strategy: decision {decision.name} has no choices; give it at least one")
