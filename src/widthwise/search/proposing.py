"""Strategies for a search: made for its space and aim, and told all that is known without evaluating."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.evaluators.protocol import Evaluator
from widthwise.metrics.goals.aim import Aim
from widthwise.search.answers import teach_answers
from widthwise.spaces.space import Space
from widthwise.spaces.uniform import as_rows
from widthwise.strategies import Strategy, strategy
from widthwise.strategies.opening import Opening

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


def proposer(
    given: str | BaseSampler,
    space: Space,
    aim: Aim,
    evaluator: Evaluator,
    *,
    seed: int,
    options: Mapping[str, Any],
    uniform_first: bool = True,
) -> Strategy:
    """A strategy by its name, or a sampler, fresh; it knows exact costs, and samples' answers where it can.

    uniform_first: one that learns begins with the space's uniform schemes. Raises UserError where it can't
    handle the space or the options.
    """

    def costs(candidates: IntArray) -> FloatArray:
        return aim.known(evaluator.costs(candidates), len(candidates))

    known = evaluator.costs(space.at([0]))
    made = strategy(
        given,
        space,
        objectives=aim.directions,
        seed=seed,
        options=options,
        costs=costs if known else None,
    )
    teach_answers(made, aim, evaluator)
    first = space.uniform if uniform_first and made.learns else ()
    return Opening(made, space, as_rows(first, len(space.decisions))) if first else made
