"""What one would try without a search: uniform schemes, and lowering one decision after another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.search.explaining.judged import Judge, Terms, row_of
from widthwise.spaces.space import Space
from widthwise.spaces.uniform import as_rows
from widthwise.study.explanation import Baseline

MOST = 200  # steps of the naive order that are evaluated, evenly spread


def uniform_baselines(
    space: Space, judge: Judge, numbers: Mapping[tuple[int, ...], int]
) -> tuple[Baseline, ...]:
    """The space's uniform schemes, the most bits first; numbers: of the trials, by candidate."""
    schemes = sorted(space.uniform, key=lambda one: -one.bits)
    metrics = judge(as_rows(schemes, len(space.decisions)))
    return tuple(
        Baseline(
            f"{one.family} {one.bits:g}", one.candidate, row_of(metrics, row), numbers.get(one.candidate)
        )
        for row, one in enumerate(schemes)
    )


def naive_baselines(
    space: Space,
    judge: Judge,
    terms: Terms,
    numbers: Mapping[tuple[int, ...], int],
) -> tuple[Baseline, ...]:
    """One decision after another lowered from the dearest uniform scheme, in the order of their sensitivity.

    Each cheaper choice of each decision is tried alone; then all are made for good one after another, those
    that lose least first, each decision step by step downward.
    """
    if terms.quality is None or terms.cost is None or not space.uniform:
        return ()
    base = np.array(max(space.uniform, key=lambda one: one.bits).candidate, dtype=np.int64)
    rows, moved = _path(space, judge, terms, base)
    kept = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST)).round().astype(np.int64))
    metrics = judge(rows[kept])
    return tuple(
        Baseline(
            moved[at], tuple(rows[at].tolist()), row_of(metrics, row), numbers.get(tuple(rows[at].tolist()))
        )
        for row, at in enumerate(kept.tolist())
    )


def _path(space: Space, judge: Judge, terms: Terms, base: IntArray) -> tuple[IntArray, list[str]]:
    """The candidates [n, D] on the way down from the base, and what was changed last."""
    columns, choices = space.every_choice
    others = np.flatnonzero(choices != base[columns])
    rows = np.concatenate([base[None], space.variants(base, others)])
    cheaper = terms.cheaper(judge.evaluator.costs(rows))
    saving = np.flatnonzero(cheaper[1:] > cheaper[0])
    metrics = judge(np.concatenate([base[None], rows[1:][saving]]))
    quality = terms.better(metrics)
    lost = np.nan_to_num(quality[0] - quality[1:], nan=np.inf)
    steps = _ordered(columns[others[saving]], cheaper[1:][saving], lost)
    path, moved, row = [base.copy()], ["nothing lowered"], base.copy()
    for step in steps:
        column, choice = int(columns[others[saving[step]]]), int(choices[others[saving[step]]])
        row[column] = choice
        path.append(row.copy())
        moved.append(f"{space.decisions[column].name} = {space.decisions[column].choices[choice]}")
    return np.array(path), moved


def _ordered(columns: IntArray, cheaper: FloatArray, lost: FloatArray) -> list[int]:
    """The order [n] of the changes: by what they lose, within a decision from dear to cheap."""
    keys = np.empty(len(columns))
    for column in np.unique(columns):
        own = np.flatnonzero(columns == column)
        own = own[np.argsort(cheaper[own], kind="stable")]
        keys[own] = np.maximum.accumulate(lost[own])
    found: list[int] = np.lexsort((cheaper, keys)).tolist()
    return found
