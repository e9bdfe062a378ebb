"""One change at a time: the trials that differ from the largest candidate in a single decision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from widthwise.importance.result import Change, Sensitivity
from widthwise.space import FloatArray, IntArray, Space


def largest(space: Space) -> IntArray:
    """The candidate [D] with the greatest choice of each decision of numbers, and the first of the others."""
    ends = [len(decision.choices) - 1 if decision.ordered else 0 for decision in space.decisions]
    return np.array(ends, dtype=np.int64)


def sensitivity(
    space: Space, numbers: IntArray, candidates: IntArray, metrics: FloatArray, names: Sequence[str]
) -> Sensitivity:
    """What single changes of the largest candidate do, from trials with candidates [n, D], metrics [n, M].

    Changes are in the order of the decisions and of their choices.
    """
    base = largest(space)
    differing = candidates != base
    counts = differing.sum(axis=1)
    found = np.flatnonzero(counts == 0)
    if not len(found):
        return Sensitivity(None, space.chosen(base), {}, (), 0)
    row = int(found[0])
    changes = []
    for other in np.flatnonzero(counts == 1).tolist():
        column = int(differing[other].argmax())
        decision, index = space.decisions[column], int(candidates[other, column])
        differences = dict(zip(names, (metrics[other] - metrics[row]).tolist(), strict=True))
        change = Change(decision.name, decision.choices[index], int(numbers[other]), differences)
        changes.append(((column, index), change))
    changes.sort(key=lambda entry: entry[0])
    possible = int((space.cardinalities - 1).sum())
    values = dict(zip(names, metrics[row].tolist(), strict=True))
    return Sensitivity(
        int(numbers[row]),
        space.chosen(base),
        values,
        tuple(change for _, change in changes),
        possible - len({key for key, _ in changes}),
    )
