"""What strategies learn of candidates that were evaluated beside their objectives: each sample's answer."""

from __future__ import annotations

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.evaluators.protocol import HasMargins
from widthwise.metrics.goals.aim import Aim
from widthwise.strategies import Strategy
from widthwise.strategies.protocol import LearnsMargins, Margins


def teach_answers(strategy: Strategy, aim: Aim, evaluator: object) -> None:
    """Give a fresh strategy the answers that an evaluator knows, where it can use them for an objective."""
    if not isinstance(strategy, LearnsMargins) or not isinstance(evaluator, HasMargins) or aim.summed:
        return
    if not any(counts_answers(name) for name in aim.names):
        return
    labels = evaluator.margin_labels
    signs = [1 if objective.direction == "maximize" else -1 for objective in aim.objectives]
    rows = [
        sign * objective.scale * shares_of(objective.name, labels)
        for sign, objective in zip(signs, aim.objectives, strict=True)
    ]
    strategy.learn_margins(Margins(evaluator.margins, np.array(rows)))


def counts_answers(metric: str) -> bool:
    """Whether a metric is a weighted count of right answers."""
    return metric in ("accuracy", "accuracy_macro", "recall")


def shares_of(metric: str, labels: IntArray) -> FloatArray:
    """What each sample counts in a metric if it is answered rightly, [S] for labels [S]; NaN for others."""
    if not counts_answers(metric):
        return np.full(len(labels), np.nan)
    if metric == "accuracy":
        return np.full(len(labels), 1 / len(labels))
    classes, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
    shares: FloatArray = 1 / (len(classes) * counts[numbers])
    return shares
