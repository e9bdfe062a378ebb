"""Exact changes around a candidate, one at a time and in pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Literal

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.search.explaining.judged import Judge, Terms, differences, row_of
from widthwise.spaces.by_tensor import ByTensor
from widthwise.spaces.space import Space
from widthwise.study.explanation import Around, Change
from widthwise.study.importance.sensitivity import layer_of

AT_ONCE = 256  # pairs between two looks at the clock
Moved = list[tuple[int, int]]  # decision and choice of each change


def around(
    base: Literal["pick", "float"],
    space: Space,
    judge: Judge,
    candidate: IntArray,
    moves_of: Callable[[Moved, tuple[Change, ...]], list[int]],
    *,
    pairs: int,
) -> Around:
    """Every single change of the candidate [D], and pairs of those that `moves_of` names, up to `pairs`.

    moves_of: the changes' numbers, those that matter most first, at most one of each decision.
    """
    columns, choices = space.every_choice
    which = np.flatnonzero(choices != candidate[columns])
    moved: Moved = [(int(columns[at]), int(choices[at])) for at in which]
    metrics = judge(np.concatenate([candidate[None], space.variants(candidate, which)]))
    own = row_of(metrics, 0)
    changes = tuple(
        _change(space, candidate, column, choice, row_of(metrics, row), own)
        for row, (column, choice) in enumerate(moved, start=1)
    )
    found = Around(base, own, changes)
    moves = _affordable(moves_of(moved, changes), pairs)
    if len(moves) < 2:
        return found
    return replace(found, moves=tuple(moves), pairs=_pairs(judge, candidate, moved, moves, found))


def restored(tensors: ByTensor, judge: Judge, candidate: IntArray) -> tuple[Change, ...]:
    """The candidate [D] of the tensors' space with one tensor after the other put back to float."""
    floats = tensors.in_float
    places = [column for column in range(len(floats)) if floats[column] != candidate[column]]
    rows = np.repeat(candidate[None], len(places) + 1, axis=0)
    for row, column in enumerate(places, start=1):
        rows[row, column] = floats[column]
    metrics = judge(rows)
    own = row_of(metrics, 0)
    return tuple(
        _change(tensors.space, candidate, column, int(floats[column]), row_of(metrics, row), own)
        for row, column in enumerate(places, start=1)
    )


def next_cheaper(terms: Terms) -> Callable[[Moved, tuple[Change, ...]], list[int]]:
    """Of each decision the change that saves least, or adds least; those that lose least quality first."""

    def moves(moved: Moved, changes: tuple[Change, ...]) -> list[int]:
        if terms.cost is None or terms.quality is None:
            return []
        first: dict[int, int] = {}
        sign = 1.0 if terms.cost.direction == "maximize" else -1.0
        saved = [sign * change.differences[terms.cost.name] for change in changes]
        for number in sorted(
            range(len(changes)), key=lambda number: (saved[number] <= 0, abs(saved[number]))
        ):
            if saved[number] != 0:
                first.setdefault(moved[number][0], number)
        return sorted(first.values(), key=lambda number: -_gain(terms, changes[number]))

    return moves


def to_formats_of(candidate: IntArray, terms: Terms) -> Callable[[Moved, tuple[Change, ...]], list[int]]:
    """The changes to the choices of a candidate [D]; those that do most damage first."""

    def moves(moved: Moved, changes: tuple[Change, ...]) -> list[int]:
        if terms.quality is None:
            return []
        own = [number for number, (column, choice) in enumerate(moved) if candidate[column] == choice]
        return sorted(own, key=lambda number: _gain(terms, changes[number]))

    return moves


def _gain(terms: Terms, change: Change) -> float:
    assert terms.quality is not None
    gain = terms.sign * change.differences[terms.quality.name]
    return gain if np.isfinite(gain) else -np.inf


def _affordable(moves: Sequence[int], pairs: int) -> list[int]:
    """The first of the moves, as many as make up to `pairs` pairs."""
    count = len(moves)
    while count * (count - 1) // 2 > pairs:
        count -= 1
    return list(moves[:count])


def _change(
    space: Space,
    candidate: IntArray,
    column: int,
    choice: int,
    metrics: dict[str, float],
    own: dict[str, float],
) -> Change:
    decision = space.decisions[column]
    return Change(
        decision.name,
        layer_of(decision.name),
        decision.choices[candidate[column]],
        decision.choices[choice],
        metrics,
        differences(metrics, own),
    )


def _pairs(
    judge: Judge, candidate: IntArray, moved: Moved, moves: Sequence[int], found: Around
) -> dict[str, tuple[tuple[float | None, ...], ...]]:
    """How much both changes differ from the sum of each, [moves, moves] by metric."""
    wanted = list(combinations(range(len(moves)), 2))
    tables = {name: np.full((len(moves), len(moves)), np.nan) for name in found.metrics}
    for name, table in tables.items():
        alone = [found.changes[move].differences[name] for move in moves]
        np.fill_diagonal(table, alone)
    for at in range(0, len(wanted), AT_ONCE):
        if judge.spent.is_over:
            break
        some = wanted[at : at + AT_ONCE]
        rows = np.repeat(candidate[None], len(some), axis=0)
        for row, pair in enumerate(some):
            for place in pair:
                column, choice = moved[moves[place]]
                rows[row, column] = choice
        metrics = judge(rows)
        for row, (a, b) in enumerate(some):
            both = differences(row_of(metrics, row), dict(found.metrics))
            for name, table in tables.items():
                table[a, b] = table[b, a] = _interaction(both[name], table[a, a], table[b, b])
    return {name: _plain(table) for name, table in tables.items()}


def _interaction(both: float, one: float, other: float) -> float:
    beyond = both - one - other
    return 0.0 if abs(beyond) <= 1e-12 * max(abs(both), abs(one), abs(other)) else beyond


def _plain(table: FloatArray) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(value if np.isfinite(value) else None for value in row) for row in table.tolist())
