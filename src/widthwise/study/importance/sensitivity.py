"""One change at a time: the trials that differ from the largest candidate in one decision or one layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.spaces.space import Decision, Space
from widthwise.study.importance.result import ChoiceChange, LayerChange, Sensitivity

ROUNDING = 1e-12  # differences below this share of the values are none


def layer_of(decision: str) -> str:
    """The layer that a decision belongs to: `seq_blocks_2` of `seq_blocks_2/weight_width`."""
    return decision.rpartition("/")[0] or decision


def layers_of(decisions: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The decisions of each layer, in their order."""
    found: dict[str, tuple[int, ...]] = {}
    for column, name in enumerate(decisions):
        found[layer_of(name)] = (*found.get(layer_of(name), ()), column)
    return found


def largest(space: Space) -> IntArray:
    """The candidate [D] with the greatest choice of each decision of numbers, and the first of the others."""
    return np.array([_end(decision, greatest=True) for decision in space.decisions], dtype=np.int64)


def smallest(space: Space) -> IntArray:
    """The candidate [D] with the least choice of each decision of numbers, and the first of the others."""
    return np.array([_end(decision, greatest=False) for decision in space.decisions], dtype=np.int64)


def sensitivity(
    space: Space, numbers: IntArray, candidates: IntArray, metrics: FloatArray, names: Sequence[str]
) -> Sensitivity:
    """What changes of the largest candidate do, from trials with candidates [n, D], metrics [n, M].

    Changes are in the order of the decisions and of their choices, layers in that of the network.
    """
    base = largest(space)
    differing = candidates != base
    counts = differing.sum(axis=1)
    found = np.flatnonzero(counts == 0)
    if not len(found):
        return Sensitivity(None, space.chosen(base), {}, (), 0)
    row = int(found[0])
    changes = {}
    for other in np.flatnonzero(counts == 1).tolist():
        column = int(differing[other].argmax())
        decision, index = space.decisions[column], int(candidates[other, column])
        differences = _differences(metrics[other], metrics[row], names)
        changes[column, index] = ChoiceChange(
            decision.name, decision.choices[index], int(numbers[other]), differences
        )
    layers = [
        LayerChange(layer, int(numbers[other]), _differences(metrics[other], metrics[row], names))
        for layer, other in _layers_at_smallest(space, candidates).items()
    ]
    return Sensitivity(
        int(numbers[row]),
        space.chosen(base),
        dict(zip(names, metrics[row].tolist(), strict=True)),
        tuple(changes[key] for key in sorted(changes)),
        int((space.cardinalities - 1).sum()) - len(changes),
        tuple(layers),
    )


def _layers_at_smallest(space: Space, candidates: IntArray) -> dict[str, int]:
    """The row of the candidate in which one layer's decisions are the smallest, all others the largest."""
    base, least = largest(space), smallest(space)
    found = {}
    for layer, columns in layers_of([decision.name for decision in space.decisions]).items():
        wanted = base.copy()
        wanted[list(columns)] = least[list(columns)]
        rows = np.flatnonzero((candidates == wanted).all(axis=1))
        if len(rows) and (wanted != base).any():
            found[layer] = int(rows[0])
    return found


def _differences(of: FloatArray, base: FloatArray, names: Sequence[str]) -> dict[str, float]:
    """By how much each metric differs, exactly 0 where only by rounding."""
    change = of - base
    none = np.abs(change) <= ROUNDING * np.maximum(np.abs(of), np.abs(base))
    return dict(zip(names, np.where(none, 0.0, change).tolist(), strict=True))


def _end(decision: Decision, *, greatest: bool) -> int:
    """The index of the greatest or least choice; 0 where they are no numbers."""
    choices = decision.choices
    if any(isinstance(choice, bool) or not isinstance(choice, int | float) for choice in choices):
        return 0
    return int(np.argmax(choices) if greatest else np.argmin(choices))
