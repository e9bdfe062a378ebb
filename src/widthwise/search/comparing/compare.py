"""The comparison: every strategy with every seed on one search, measured with one yardstick."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from widthwise.config import SearchConfig, load_config
from widthwise.core.arrays import FloatArray
from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.evaluators.tabled.table import Objectives, SearchTable
from widthwise.search.comparing.contest import Contest, contest_of, contest_of_table, limited
from widthwise.search.comparing.entrants import Entrant, parse_entrants
from widthwise.search.comparing.judge import Judge
from widthwise.search.comparing.measures import Yardstick, best_curve, carried, share_curve, yardstick
from widthwise.search.comparing.race import Race, StrategyError, race
from widthwise.search.comparing.result import Comparison, Outcome
from widthwise.search.comparing.signed_ranks import pair_tests
from widthwise.search.problem import Problem, load_problem
from widthwise.strategies.registry import COMPARED


@dataclass(frozen=True)
class Done:
    """How far a comparison is: `done` of `total` candidates enumerated, or runs finished."""

    stage: str
    done: int
    total: int


Report = Callable[[Done], None]
ENUMERATED = "candidates to enumerate up to"


def compare(
    problem: Problem | Contest | SearchTable | SearchConfig | str | Path | Mapping[str, Any],
    strategies: str | Sequence[str | Entrant] = COMPARED,
    *,
    seeds: int | Sequence[int] = 10,
    budget: int = 200,
    batch: int | None = None,
    most_enumerated: int | None = None,
    objectives: Objectives | None = None,
    progress: Report | None = None,
    started: Callable[[], None] | None = None,
) -> Comparison:
    """Search with each strategy and seed until `budget` candidates are evaluated, and measure all of them.

    Args:
        problem: a config, as `search` takes it, or from `load_problem`; its strategy has no say. Or a table,
            as `load_table` gives it.
        strategies: "brute-force,tpe(multivariate=false)", or a list of such entries, among which
            `Entrant("mine", make=…)` makes an Optuna sampler from a seed.
        seeds: how many, from 0, or which. budget: at most the size of the space.
        batch: candidates to ask for at once; by default as each strategy likes.
        most_enumerated: up to so many candidates the whole space is evaluated first: its front is then what
            shares are of, and evaluations are looked up. Otherwise they are remembered, and shares are of
            the front of everything that was evaluated.
        objectives: of a table: metrics, each in its own direction, or names to directions; by default
            accuracy and model_size. A config has its own.
        progress, started: told how far it is, and when all is checked and evaluating begins.

    The same arguments give the same result, but for the times. A strategy that raises on the way is left out
    and is among the `failures`. Ctrl-C leaves out those whose runs are not all done, as `interrupted`; where
    none is done it goes on as KeyboardInterrupt. Raises UserError before the first evaluation for unknown
    strategies and options and for those that can't handle the space, and where nothing remains to compare.
    """
    contest = limited(
        _contest(problem, objectives),
        batch=_least("batch", batch, 1),
        most_enumerated=_least(ENUMERATED, most_enumerated, 0),
    )
    entrants = parse_entrants(strategies, configured=contest.configured)
    used = _seeds(seeds)
    if budget < 1:
        raise UserError(f"budget = {budget}; give 1 evaluation or more")
    within = contest.bounds.within
    if within is not None and within.nothing:
        raise UserError(f"compare: there is nothing to compare: {within.nothing}; loosen a bound")
    for entrant in entrants:
        _rehearse(contest, entrant, used[0])
    if started is not None:
        started()
    judge = Judge(contest)
    spent = min(budget, contest.space.size)
    limit = spent if contest.most_enumerated is None else contest.most_enumerated
    if contest.space.size <= limit:
        judge.enumerate(_telling(progress, "enumerating the space", contest.space.size))
        _check_any(judge)
        spent = min(budget, judge.evaluated)
    races, failures, interrupted = _races(contest, judge, entrants, used, spent, progress)
    if not races:
        raise UserError(f"compare: every strategy failed: {_listed(failures)}")
    found = _measured(contest, judge, races, used, spent)
    return replace(found, asked_budget=budget, failures=failures, interrupted=interrupted)


def _contest(
    problem: Problem | Contest | SearchTable | SearchConfig | str | Path | Mapping[str, Any],
    objectives: Objectives | None,
) -> Contest:
    if isinstance(problem, SearchTable):
        return contest_of_table(problem, objectives)
    if objectives is not None:
        raise UserError("objectives are given for a table; a config names its own, so leave them out")
    if isinstance(problem, Contest):
        return problem
    posed = problem if isinstance(problem, Problem) else load_problem(load_config(problem))
    return contest_of(posed.trained())


def _measured(
    contest: Contest,
    judge: Judge,
    races: Sequence[tuple[Entrant, Sequence[Race]]],
    seeds: tuple[int, ...],
    budget: int,
) -> Comparison:
    """What the runs come to, by one yardstick."""
    yard = yardstick(_check_any(judge))
    outcomes = tuple(_outcome(entrant, runs, contest, yard, budget) for entrant, runs in races)
    signs = np.array([1.0 if way == "maximize" else -1.0 for way in contest.aim.directions.values()])
    return Comparison(
        task=contest.name,
        outcomes=outcomes,
        seeds=seeds,
        budget=budget,
        asked_budget=budget,
        batch=contest.batch,
        size=contest.space.size,
        truth="space" if judge.knows_all else "union",
        front=yard.front,
        metrics={metric.name: metric for metric in contest.metrics},
        directions=contest.directions,
        objectives=contest.aim.directions,
        reference=dict(zip(contest.aim.directions, (yard.reference * signs).tolist(), strict=True)),
        evaluated=judge.evaluated,
        seconds=judge.seconds,
        failed=judge.failed,
        failed_because=judge.reason,
        tests=(
            *pair_tests("share at the end", {outcome.label: outcome.final for outcome in outcomes}),
            *pair_tests("mean share", {outcome.label: outcome.mean_share for outcome in outcomes}),
        ),
    )


def _rehearse(contest: Contest, entrant: Entrant, seed: int) -> None:
    """Make it and ask once, so that what can't work fails now, and imports don't count as its time later."""
    try:
        contest.strategy(entrant, seed).ask(1)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"strategy {entrant.label}: asking it raised {describe_error(error)}") from error


def _races(
    contest: Contest,
    judge: Judge,
    entrants: Sequence[Entrant],
    seeds: Sequence[int],
    budget: int,
    progress: Report | None,
) -> tuple[list[tuple[Entrant, list[Race]]], dict[str, str], tuple[str, ...]]:
    """The runs of each strategy that gets through all seeds, what others raised, which were interrupted."""
    found: list[tuple[Entrant, list[Race]]] = []
    failures: dict[str, str] = {}
    for number, entrant in enumerate(entrants):
        tell = _telling(progress, entrant.label, len(entrants) * len(seeds))
        runs: list[Race] = []
        try:
            for seed in seeds:
                runs.append(race(contest.strategy(entrant, seed), contest, judge, budget))
                if tell is not None:
                    tell(number * len(seeds) + len(runs))
        except StrategyError as error:
            failures[entrant.label] = f"seed {seeds[len(runs)]}, {error}"
        except KeyboardInterrupt:
            if not found:
                raise
            return found, failures, tuple(left.label for left in entrants[number:])
        else:
            found.append((entrant, runs))
    return found, failures, ()


def _outcome(
    entrant: Entrant, races: Sequence[Race], contest: Contest, yard: Yardstick, budget: int
) -> Outcome:
    """What the runs of one strategy come to."""
    shares, best, own = [], [], []
    signs = np.array([1.0 if way == "maximize" else -1.0 for way in contest.directions.values()])
    for run in races:
        worthy = run.judged.worthy[:, None]
        shares.append(share_curve(np.where(worthy, run.judged.values, np.nan), yard, budget))
        best.append(best_curve(np.where(worthy, run.judged.metrics * signs, np.nan), budget) * signs)
        own.append(carried(run.own_seconds, budget))
    table: FloatArray = np.stack(best)  # [S, B, M]
    return Outcome(
        entrant,
        np.stack(shares),
        {name: table[:, :, column] for column, name in enumerate(contest.columns)},
        np.stack(own),
        np.array([len(run) for run in races], dtype=np.int64),
        tuple(run.ended for run in races),
    )


def _check_any(judge: Judge) -> FloatArray:
    """The values [n, m] of all that may be on a front; UserError where there is none."""
    known = judge.everything()
    values = known.values[known.worthy]
    if not len(values):
        bounds = ", ".join(str(bound) for bound in judge.contest.constraints)
        why = f"is within {bounds}; loosen a bound" if bounds else "could be evaluated"
        if judge.failed == judge.evaluated:
            why = f"could be evaluated; the first failed: {judge.reason}"
        raise UserError(f"compare: there is nothing to compare: no candidate {why}")
    return values


def _seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(seeds, int):
        if seeds < 1:
            raise UserError(f"seeds = {seeds}; give 1 or more")
        return tuple(range(seeds))
    found = tuple(int(seed) for seed in seeds)
    if not found or len(set(found)) < len(found) or min(found) < 0:
        raise UserError(f"seeds = {list(found)}; give 1 or more, none twice, none below 0")
    return found


def _least(name: str, value: int | None, least: int) -> int | None:
    if value is not None and value < least:
        raise UserError(f"{name} = {value}; give {least} or more")
    return value


def _telling(progress: Report | None, stage: str, total: int) -> Callable[[int], None] | None:
    if progress is None:
        return None
    return lambda done: progress(Done(stage, done, total))


def _listed(failures: dict[str, str]) -> str:
    return "; ".join(f"{label}: {reason}" for label, reason in failures.items())
