"""What strategies learn of candidates that were evaluated beside their objectives: each sample's answer."""

from __future__ import annotations

from widthwise.evaluators.protocol import HasFewMargins, HasMargins
from widthwise.metrics.goals.aim import Aim
from widthwise.strategies import Strategy
from widthwise.strategies.protocol import LearnsMargins, Margins


def teach_answers(strategy: Strategy, aim: Aim, evaluator: object) -> None:
    """Give a fresh strategy the answers that an evaluator knows, where it can use them for an objective."""
    if not isinstance(strategy, LearnsMargins) or not isinstance(evaluator, HasMargins) or aim.summed:
        return
    known = evaluator.follows([objective.name for objective in aim.objectives])
    signs = [1 if objective.direction == "maximize" else -1 for objective in aim.objectives]
    follows = [
        None if found is None else found.times(sign * objective.scale)
        for sign, objective, found in zip(signs, aim.objectives, known, strict=True)
    ]
    if any(found is not None for found in follows):
        few = evaluator.few_margins if isinstance(evaluator, HasFewMargins) else None
        strategy.learn_margins(Margins(evaluator.margins, follows, few))
