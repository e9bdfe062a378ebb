"""What strategies are compared on: a space, an evaluator, an aim and bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from widthwise.core.arrays import BoolArray, FloatArray, IntArray
from widthwise.evaluators.protocol import Evaluate, HasCosts
from widthwise.metrics.catalogue import Direction, Metric
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.goals.constraints import Constraint
from widthwise.search.answers import teach_answers
from widthwise.search.bounds import within_bounds
from widthwise.search.comparing.entrants import Entrant
from widthwise.spaces.space import Space
from widthwise.spaces.within import Within
from widthwise.strategies import Strategy, strategy
from widthwise.strategies.protocol import KeepsWithin

if TYPE_CHECKING:
    from widthwise.search.problem import Problem

MOST_ENUMERATED = 200_000  # candidates that the engine evaluates in seconds to minutes


@dataclass(frozen=True, eq=False)
class Contest:
    """A search without its strategy.

    metrics: names of what the evaluator gives, the aim's and the bounds' among them.
    configured: the config's own strategy, whose options hold where it is compared without options.
    batch: candidates to ask for at once; None: as each strategy likes.
    most_enumerated: up to so many candidates the whole space is evaluated first, and then is the truth;
        None: where the space is no larger than what one run may evaluate.
    """

    name: str
    space: Space
    evaluator: Evaluate
    aim: Aim
    metrics: tuple[Metric, ...]
    constraints: tuple[Constraint, ...] = ()
    configured: Entrant | None = None
    batch: int | None = None
    most_enumerated: int | None = MOST_ENUMERATED

    @property
    def directions(self) -> dict[str, Direction]:
        """Which way each metric is better: as the aim says, or else its natural one."""
        wanted = {objective.name: objective.direction for objective in self.aim.objectives}
        return {metric.name: wanted.get(metric.name) or metric.direction for metric in self.metrics}

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the metrics."""
        return tuple(metric.name for metric in self.metrics)

    def strategy(self, entrant: Entrant, seed: int) -> Strategy:
        """The entrant, fresh; UserError where it can't handle the space."""
        made = strategy(
            entrant.name if entrant.make is None else entrant.make(seed),
            self.space,
            objectives=self.aim.directions,
            seed=seed,
            options=dict(entrant.options),
            costs=self.costs if isinstance(self.evaluator, HasCosts) else None,
        )
        if self.within is not None and isinstance(made, KeepsWithin):
            made.keep_within(self.within)  # as a search tells it
        teach_answers(made, self.aim, self.evaluator)
        return made

    @cached_property
    def within(self) -> Within | None:
        """The candidates that break no bound by their costs alone; None where no cost is bounded."""
        return within_bounds(self.space, self.constraints, self.evaluator)

    def costs(self, candidates: IntArray) -> FloatArray:
        """Values [K, objectives] of candidates [K, D] known without evaluating, to be maximised, or NaN."""
        known = self.evaluator.costs(candidates) if isinstance(self.evaluator, HasCosts) else {}
        return self.aim.known(known, len(candidates))

    def inside(self, candidates: IntArray) -> BoolArray:
        """Which candidates [K, D] break no bound by their costs alone, [K]: no other is ever evaluated."""
        return np.ones(len(candidates), dtype=bool) if self.within is None else self.within(candidates)


def contest_of(problem: Problem) -> Contest:
    """The task that a problem poses, whatever strategy its config names."""
    from widthwise.evaluators.trained import WidthEvaluator

    search = problem.config.search
    trains = isinstance(problem.evaluator, WidthEvaluator)
    return Contest(
        name=problem.config.source,
        space=problem.space,
        evaluator=problem.evaluator,
        aim=problem.aim,
        metrics=problem.metrics,
        constraints=search.constraints,
        configured=Entrant(search.strategy.name, search.strategy.options),
        batch=1 if trains else None,
        most_enumerated=None if trains else MOST_ENUMERATED,
    )


def limited(task: Contest, *, batch: int | None, most_enumerated: int | None) -> Contest:
    """The task with what the caller wants otherwise."""
    changed = replace(task, batch=task.batch if batch is None else batch)
    return changed if most_enumerated is None else replace(changed, most_enumerated=most_enumerated)
