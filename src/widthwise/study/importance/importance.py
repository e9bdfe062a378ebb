"""From the trials of a study to what its decisions do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError, unknown
from widthwise.study.importance.exact import exact_effects, exact_layers, is_complete
from widthwise.study.importance.fitted import fitted_effects, fitted_layers
from widthwise.study.importance.result import Effects, Importance
from widthwise.study.importance.sensitivity import layers_of, sensitivity

if TYPE_CHECKING:
    from widthwise.core.arrays import BoolArray
    from widthwise.study.store import Block
    from widthwise.study.study import Study

MOST_FITTED = 1000  # trials that a model is fitted to: it takes seconds
FEWEST = 10  # trials below which there is nothing to tell


def importance(study: Study, *, metrics: Sequence[str] | Literal["all"] | None = None) -> Importance:
    """What each decision does to the metrics (by default the objectives), from the trials of the study.

    Where the trials are all combinations of the choices that occur among them, and none failed, it is exact;
    otherwise a model is fitted to them, of a search's trials up to MOST_FITTED, evenly spread. Raises
    UserError for metrics that are not stored and where too few trials succeeded.
    """
    space, block = study.record.space, study.trials.arrays(narrow=True)
    names = _names(study, block, metrics)
    values = block.metrics[:, [study.record.columns.index(name) for name in names]]
    good = np.isfinite(values).all(axis=1) & _succeeded(block)
    if int(good.sum()) < min(FEWEST, space.size):
        raise UserError(
            f"{study.name}: only {int(good.sum())} trials succeeded, too few to tell what decisions do; "
            f"search on until there are {FEWEST}"
        )
    numbers, candidates, values = block.numbers[good], block.candidates[good], values[good]
    codes, kept = _codes(candidates)
    counts = np.array([len(occurring) for occurring in kept], dtype=np.int64)
    varied = np.flatnonzero(counts > 1)
    if not len(varied):
        raise UserError(f"{study.name}: all trials chose the same; there is nothing to compare")
    codes, counts = codes[:, varied], counts[varied]
    complete = is_complete(codes, counts)
    used = np.arange(len(codes)) if complete else _spread(len(codes))
    chosen = codes[used].astype(np.int64)
    decisions = tuple(space.decisions[i].name for i in varied)
    layers = layers_of(decisions)
    return Importance(
        study=study.name,
        decisions=decisions,
        choices=tuple(tuple(space.decisions[i].choices[c] for c in kept[i].tolist()) for i in varied),
        fixed=tuple(d.name for i, d in enumerate(space.decisions) if i not in varied),
        trials=len(used),
        left_out=len(block.numbers) - len(used),
        size=space.size,
        effects=tuple(
            _effects(name, chosen, counts, values[used, column], layers.values(), complete=complete)
            for column, name in enumerate(names)
        ),
        sensitivity=sensitivity(space, numbers, candidates, values, names),
        layers=tuple(layers),
        not_kept=study.summary.trials - len(block.numbers),
        metrics={metric.name: metric for metric in study.record.metrics},
    )


def _names(study: Study, block: Block, metrics: Sequence[str] | Literal["all"] | None) -> list[str]:
    """The metrics that are wanted, each once; of all of them those that any trial has."""
    stored = study.record.columns
    if metrics in ("all", ["all"]):
        known = np.isfinite(block.metrics[_succeeded(block)])
        return [name for i, name in enumerate(stored) if known[:, i].any()] or list(study.aim.names)
    names = list(dict.fromkeys(metrics or study.aim.names))
    for name in names:
        if name not in stored:
            raise unknown("metric", name, stored, where=study.name)
    return names


def _succeeded(block: Block) -> BoolArray:
    return ~np.isin(block.numbers, list(block.reasons))


def _effects(
    metric: str,
    codes: IntArray,
    counts: IntArray,
    values: FloatArray,
    layers: Collection[Sequence[int]],
    *,
    complete: bool,
) -> Effects:
    """What decisions [D], and layers of them, do to the values [n] of trials [n, D]."""
    if complete:
        found = exact_effects(metric, codes, counts, values)
        alone, total = exact_layers(codes, counts, values, list(layers))
    else:
        found = fitted_effects(metric, codes, counts, values)
        alone, total = fitted_layers(found, list(layers))
    return replace(found, layer_alone=alone, layer_total=total)


def _codes(candidates: IntArray) -> tuple[IntArray, list[IntArray]]:
    """The rows [n, D] numbered by the choices that occur, and which these are for each decision."""
    codes = np.empty_like(candidates)
    kept = []
    for column in range(candidates.shape[1]):
        occurring, codes[:, column] = np.unique(candidates[:, column], return_inverse=True)
        kept.append(occurring)
    return codes, kept


def _spread(count: int) -> IntArray:
    """Which of so many trials are used: all, or evenly many from first to last."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST_FITTED)).round().astype(np.int64))
