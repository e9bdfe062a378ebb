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
from widthwise.study.store import Block
from widthwise.study.trials import Told

if TYPE_CHECKING:
    from widthwise.core.arrays import BoolArray
    from widthwise.study.study import Study

MOST_FITTED = 1000  # trials that a model is fitted to: it takes seconds
FEWEST = 10  # trials below which there is nothing to tell


def importance(
    study: Study, *, metrics: Sequence[str] | Literal["all"] | None = None, progress: Told | None = None
) -> Importance:
    """What each decision does to the metrics (by default the objectives), from the trials of the study.

    Where the trials are all combinations of the choices that occur among them, and none failed, it is exact;
    otherwise a model is fitted to them, of a search's trials up to MOST_FITTED, evenly spread. Raises
    UserError for metrics that are not stored and where too few trials succeeded. progress: is told how many
    trials are read, of how many.
    """
    space = study.record.space
    names, trials, read = _usable(study, metrics, progress)
    decisions = tuple(decision.name for decision in space.decisions)
    changes = sensitivity(space, trials.numbers, trials.candidates, trials.metrics, names)
    kept = _renumber(trials.candidates)
    counts = np.array([len(occurring) for occurring in kept], dtype=np.int64)
    varied = np.flatnonzero(counts > 1)
    if not len(varied):
        raise UserError(f"{study.name}: all trials chose the same; there is nothing to compare")
    counts, codes, values = counts[varied], trials.candidates, trials.metrics
    del trials  # of a million each array counts
    if len(varied) < len(kept):
        codes = codes[:, varied]
    complete = is_complete(codes, counts)
    if not complete:
        used = _spread(len(codes))
        codes, values = codes[used], values[used]
    layers = layers_of([decisions[i] for i in varied])
    return Importance(
        study=study.name,
        decisions=tuple(decisions[i] for i in varied),
        choices=tuple(tuple(space.decisions[i].choices[c] for c in kept[i].tolist()) for i in varied),
        fixed=tuple(name for i, name in enumerate(decisions) if i not in varied),
        trials=len(codes),
        left_out=read - len(codes),
        size=space.size,
        effects=tuple(
            _effects(name, codes, counts, values[:, column], layers.values(), complete=complete)
            for column, name in enumerate(names)
        ),
        sensitivity=changes,
        layers=tuple(layers),
        not_kept=study.summary.trials - read,
        metrics={metric.name: metric for metric in study.record.metrics},
    )


def _usable(
    study: Study, metrics: Sequence[str] | Literal["all"] | None, progress: Told | None
) -> tuple[list[str], Block, int]:
    """The wanted metrics, the trials that have all of them, with these alone, and how many were read."""
    stored = study.record.columns
    if metrics in ("all", ["all"]):
        block = study.trials.arrays(narrow=True, progress=progress)
        known = np.isfinite(block.metrics[_succeeded(block)])
        names = [name for i, name in enumerate(stored) if known[:, i].any()] or list(study.aim.names)
        block = replace(block, metrics=block.metrics[:, [stored.index(name) for name in names]])
    else:
        names = list(dict.fromkeys(metrics or study.aim.names))
        for name in names:
            if name not in stored:
                raise unknown("metric", name, stored, where=study.name)
        block = study.trials.arrays(narrow=True, metrics=names, progress=progress)
    good = np.isfinite(block.metrics).all(axis=1) & _succeeded(block)
    count, read = int(good.sum()), len(good)
    if count < min(FEWEST, study.record.space.size):
        raise UserError(
            f"{study.name}: only {count} trials succeeded, too few to tell what decisions do; "
            f"search on until there are {FEWEST}"
        )
    if count < read:
        block = Block(block.numbers[good], block.candidates[good], block.metrics[good], {})
    return names, block, read


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


def _renumber(candidates: IntArray) -> list[IntArray]:
    """Numbers the rows [n, D], in place, by the choices that occur; which these are for each decision."""
    kept = []
    for column in candidates.T:
        occurs = np.zeros(int(column.max(initial=0)) + 1, dtype=bool)
        occurs[column] = True
        kept.append(np.flatnonzero(occurs))
        column[:] = (np.cumsum(occurs) - 1)[column]
    return kept


def _spread(count: int) -> IntArray:
    """Which of so many trials are used: all, or evenly many from first to last."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST_FITTED)).round().astype(np.int64))
