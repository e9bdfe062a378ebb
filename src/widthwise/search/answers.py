"""What strategies learn of candidates that were evaluated beside their objectives: each sample's answer."""

from __future__ import annotations

import numpy as np

from widthwise.evaluators.protocol import HasMargins
from widthwise.metrics.goals.aim import Aim
from widthwise.strategies import Strategy
from widthwise.strategies.protocol import LearnsMargins, Margins


def teach_answers(strategy: Strategy, aim: Aim, evaluator: object) -> None:
    """Give a fresh strategy the answers that an evaluator knows, where it can use them for an objective."""
    if not isinstance(strategy, LearnsMargins) or not isinstance(evaluator, HasMargins) or aim.summed:
        return
    shares = [evaluator.answer_shares(objective.name) for objective in aim.objectives]
    known = next((found for found in shares if found is not None), None)
    if known is None:
        return
    signs = [1 if objective.direction == "maximize" else -1 for objective in aim.objectives]
    rows = [
        sign * objective.scale * (np.full(len(known), np.nan) if found is None else found)
        for sign, objective, found in zip(signs, aim.objectives, shares, strict=True)
    ]
    strategy.learn_margins(Margins(evaluator.margins, np.array(rows)))
