"""What strategies are compared on: a space, an evaluator, an aim and bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from widthwise.core.arrays import BoolArray, IntArray
from widthwise.core.errors import UserError
from widthwise.evaluators.called import evaluator_of
from widthwise.evaluators.protocol import Evaluator
from widthwise.evaluators.tabled.table import USUAL, Objectives, SearchTable
from widthwise.metrics.catalogue import Direction, Metric
from widthwise.metrics.goals.aim import Aim
from widthwise.metrics.goals.constraints import Constraint
from widthwise.search.bounds import Bounds
from widthwise.search.comparing.entrants import Entrant
from widthwise.search.proposing import proposer
from widthwise.search.target import Target
from widthwise.spaces.space import Space
from widthwise.strategies import Strategy

if TYPE_CHECKING:
    from widthwise.search.problem import Problem

MOST_ENUMERATED = 200_000  # candidates that the engine evaluates in seconds to minutes


@dataclass(frozen=True, eq=False)
class Contest:
    """A search without its strategy.

    evaluator: anything that is called with candidates and gives Results; see `widthwise.evaluators.called`.
    metrics: names of what the evaluator gives, the aim's and the bounds' among them.
    configured: the config's own strategy, whose options hold where it is compared without options.
    batch: candidates to ask for at once; None: as each strategy likes.
    uniform_first: those that learn begin with the space's uniform schemes.
    most_enumerated: up to so many candidates the whole space is evaluated first, and then is the truth;
        None: where the space is no larger than what one run may evaluate.
    """

    name: str
    space: Space
    evaluator: Evaluator
    aim: Aim
    metrics: tuple[Metric, ...]
    constraints: tuple[Constraint, ...] = ()
    target: Target | None = None
    configured: Entrant | None = None
    batch: int | None = None
    uniform_first: bool = True
    most_enumerated: int | None = MOST_ENUMERATED

    def __post_init__(self) -> None:
        object.__setattr__(self, "evaluator", evaluator_of(self.evaluator, self.columns))

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
        """The entrant, fresh, as a search would have it; UserError where it can't handle the space."""
        made = proposer(
            entrant.name if entrant.make is None else entrant.make(seed),
            self.space,
            self.aim,
            self.evaluator,
            seed=seed,
            options=dict(entrant.options),
            uniform_first=self.uniform_first,
        )
        self.bounds.keep(made)
        return made

    @cached_property
    def bounds(self) -> Bounds:
        """The bounds of cost, which strategies are told of."""
        return Bounds(self.space, self.constraints, self.evaluator, self.target)

    def inside(self, candidates: IntArray) -> BoolArray:
        """Which candidates [K, D] break no bound by their costs alone, [K]: no other is ever evaluated."""
        return self.bounds.inside(candidates)


def contest_of(problem: Problem) -> Contest:
    """The contest that a problem poses, whatever strategy its config names."""
    given = problem.evaluator.columns
    if measured := [name for name in problem.columns if name not in given]:
        raise UserError(
            f"{measured[0]}: is measured of candidates that could join a search's front; strategies can't be "
            "compared by it, so leave it out"
        )
    search, trains = problem.config.search, problem.evaluator.pace.trains
    return Contest(
        name=problem.config.source,
        space=problem.space,
        evaluator=problem.evaluator,
        aim=problem.aim,
        metrics=tuple(m for m in problem.judging.metrics if m.name in given),
        constraints=search.constraints,
        target=problem.target,
        configured=Entrant(search.strategy.name, search.strategy.options),
        batch=1 if trains else None,
        uniform_first=search.uniform_first,
        most_enumerated=None if trains else MOST_ENUMERATED,
    )


def contest_of_table(table: SearchTable, objectives: Objectives | None = None) -> Contest:
    """The contest of finding a table's front, for these objectives; None: accuracy against size.

    Strategies know a table's costs, as in a search, but of its qualities they learn the figures alone.
    """
    return Contest(
        name=f"table {table.name}",
        space=table.space,
        evaluator=table,
        aim=table.aim(USUAL if objectives is None else objectives),
        metrics=tuple(table.metrics.values()),
        most_enumerated=table.space.size,
    )


def limited(contest: Contest, *, batch: int | None, most_enumerated: int | None) -> Contest:
    """The contest with what the caller wants otherwise."""
    changed = replace(contest, batch=contest.batch if batch is None else batch)
    return changed if most_enumerated is None else replace(changed, most_enumerated=most_enumerated)
