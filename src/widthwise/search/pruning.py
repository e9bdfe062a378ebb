"""Which candidates can be stopped early, because the front is better whatever the rest of the data says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from widthwise.core.arrays import BoolArray, FloatArray
from widthwise.evaluators.protocol import Evaluate, Prunes
from widthwise.metrics.goals.aim import Aim
from widthwise.study.front import FrontRows


def pruning(evaluator: Prunes, aim: Aim, front: FrontRows) -> Evaluate:
    """The evaluator with early stops, by the front as it is at each call."""

    def hopeless(costs: Mapping[str, FloatArray], best: Mapping[str, FloatArray]) -> BoolArray:
        known = {**costs, **best}
        known |= aim.best_unmeasured(len(next(iter(known.values()))))
        hopes = aim.values({name: known[name] for name in aim.names})
        dominated = np.zeros(len(hopes), dtype=bool)
        for point in front.values:
            dominated |= (point >= hopes).all(axis=1) & (point > hopes).any(axis=1)
        return dominated

    return partial(evaluator.evaluate_pruning, hopeless=hopeless)
