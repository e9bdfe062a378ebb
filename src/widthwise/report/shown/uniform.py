"""The uniform schemes among the trials of a study: those that treat every layer alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from widthwise.core.toml import shown_choice
from widthwise.report.shown.schemes import Part, parts_of

if TYPE_CHECKING:
    from widthwise.core.arrays import BoolArray, IntArray
    from widthwise.spaces.space import Decision, Space

WIDTH, POINT = "width", "frac_width"


@dataclass(frozen=True)
class Uniform:
    """What every layer has, as people say it, and the rows of the trials that have it."""

    label: str
    rows: tuple[int, ...]


def uniform_schemes(space: Space, candidates: IntArray) -> tuple[Uniform, ...]:
    """The uniform schemes by what they give every layer, smallest first, with the candidates [n, D] of each.

    Widths of bits are alike over all tensors; one that may not have the width of the others has what comes
    nearest, more where two are. Whatever else is chosen is alike for each key. Schemes of widths are all that
    the space has, also without rows; others those of the candidates. None where there is but one decision, as
    every candidate is uniform then.
    """
    parts = parts_of(space)
    if len(space.decisions) < 2 or not len(candidates):
        return ()
    if any(_is_width(space, part) for part in parts):
        return _by_width(space, parts, candidates)
    return _alike(space, parts, candidates) if max(len(part.columns) for part in parts) > 1 else ()


def _by_width(space: Space, parts: Sequence[Part], candidates: IntArray) -> tuple[Uniform, ...]:
    """Each uniform scheme of the space's widths of bits once, with the rows that have it, or none."""
    widths = [part for part in parts if _is_width(space, part)]
    others = _same(space, [part for part in parts if part not in widths], candidates)
    columns = [column for part in widths for column in part.columns]
    found: dict[tuple[int, ...], Uniform] = {}
    for bits in sorted({choice for column in columns for choice in space.decisions[column].choices}):
        wanted = tuple(_nearest(space.decisions[column], bits) for column in columns)
        if wanted not in found:
            rows = np.flatnonzero(others & (candidates[:, columns] == wanted).all(axis=1))
            found[wanted] = Uniform(f"{bits:g} bits", tuple(rows.tolist()))
    return tuple(found.values())


def _alike(space: Space, parts: Sequence[Part], candidates: IntArray) -> tuple[Uniform, ...]:
    """Where no key is a width of bits: the same choice of each key for all layers."""
    groups: dict[str, list[int]] = {}
    for row in np.flatnonzero(_same(space, parts, candidates)).tolist():
        firsts = [(part.key, part.columns[0]) for part in parts]
        words = [
            f"{key} {shown_choice(space.decisions[column].choices[candidates[row, column]])}"
            for key, column in firsts
        ]
        groups.setdefault(", ".join(words), []).append(row)
    return tuple(Uniform(label, tuple(rows)) for label, rows in groups.items())


def _same(space: Space, parts: Sequence[Part], candidates: IntArray) -> BoolArray:
    """Which candidates choose the same for all layers, for each of the keys, [n]."""
    same = np.ones(len(candidates), dtype=bool)
    for part in parts:
        known = sorted({str(c) for column in part.columns for c in space.decisions[column].choices})
        ids = {text: number for number, text in enumerate(known)}
        chosen = [
            np.array([ids[str(choice)] for choice in space.decisions[column].choices])[candidates[:, column]]
            for column in part.columns
        ]
        same &= np.logical_and.reduce([one == chosen[0] for one in chosen])
    return same


def _is_width(space: Space, part: Part) -> bool:
    numbers = all(space.decisions[column].ordered for column in part.columns)
    return numbers and part.key.endswith(WIDTH) and not part.key.endswith(POINT)


def _nearest(decision: Decision, bits: float) -> int:
    choices = decision.choices
    return min(range(len(choices)), key=lambda index: (abs(choices[index] - bits), -choices[index]))
