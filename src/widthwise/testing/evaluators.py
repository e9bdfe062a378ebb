"""What holds for every evaluator."""

from __future__ import annotations

import numpy as np

from widthwise.evaluators.protocol import Evaluator
from widthwise.spaces.space import Space
from widthwise.testing.holds import holds


def check_evaluator(evaluator: Evaluator, space: Space) -> None:
    """An evaluator gives its columns for every candidate, alike in any batch, and costs as it promised."""
    columns = evaluator.columns
    holds(len(set(columns)) == len(columns) > 0, "columns are names, each once")
    holds(evaluator.describe.strip() and evaluator.describe.isprintable(), "describe is one line")
    pace = evaluator.pace
    holds(min(pace.affordable, pace.together, pace.repeats) >= 1, "a pace counts from 1")
    candidates = space.at(range(min(space.size, 4)))
    for rows in (candidates[:0], candidates[:1], candidates):
        results = evaluator(rows)
        holds(set(results) == set(columns), f"a call gives its columns, {', '.join(columns)}")
        shaped = all(results[name].shape == (len(rows),) for name in columns)
        holds(shaped, "a call gives a value for every candidate")
        failed = all(0 <= row < len(rows) and reason for row, reason in results.failures.items())
        holds(failed, "failures are rows with a reason")
    _check_order(evaluator, space)


def _check_order(evaluator: Evaluator, space: Space) -> None:
    candidates = space.at(range(min(space.size, 4)))
    turned = candidates[::-1]
    one, other, known = evaluator(candidates), evaluator(turned), evaluator.costs(turned)
    for name in evaluator.columns:
        close = np.allclose(one[name], other[name][::-1], rtol=1e-6, equal_nan=True)
        holds(close, f"{name}: a candidate's figure is its own, in whatever order candidates come")
    holds(set(known) <= set(evaluator.columns), "costs are among the columns")
    for name, values in known.items():
        holds((values == other[name]).all(), f"{name}: what costs knows is what a call gives")
